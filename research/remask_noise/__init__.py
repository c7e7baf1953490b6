"""Label noise: COCO-N and COCO-WAN, estimates, studies."""

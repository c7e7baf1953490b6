"""RClicks: realistic clicks collected, modelled and used in benchmarks."""

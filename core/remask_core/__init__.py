"""Pure nouns and functions of remask: masks, boxes, clicks, RLE codecs, metrics."""

"""Services that make the video.

`base` is what the core knows of them, `paced` asks the rate limiter before each call, `segmind` is the first service,
`models` are its models.
"""

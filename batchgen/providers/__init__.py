"""Services that make the video: `base` is what the core knows of them, `segmind` is the one."""

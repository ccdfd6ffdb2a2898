"""Work on this machine without a service: folders of pictures with a shared mark, weights of other projects."""

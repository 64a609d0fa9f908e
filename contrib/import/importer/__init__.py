"""The parts of zproxy-import."""

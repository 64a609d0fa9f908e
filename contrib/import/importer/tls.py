"""Values of TLS that HAProxy and nginx have in common."""

VERSIONS = ("1.2", "1.3")
SILENT_CIPHERS = ("HIGH:!aNULL:!MD5", "DEFAULT")    # the default of nginx; that of OpenSSL


def range_of(allowed):
    """Returns (tls_min, tls_max) for a set of versions such as "1.0"; None: none that zproxy has."""
    kept = [version for version in VERSIONS if version in allowed]
    return (kept[0], kept[-1]) if kept else None


def set_versions(section, allowed, place, report, what):
    """allowed: the versions; None: not restricted."""
    if allowed is None:
        return
    if set(allowed) - set(VERSIONS):
        report.differs(place, f"{what}: TLS 1.2 is the oldest version of zproxy")
    found = range_of(allowed)
    if found is None:
        report.dropped(place, f"{what}: no version that zproxy has; the default, 1.2 and 1.3, is used")
        return
    for key, value, default in zip(("tls_min", "tls_max"), found, VERSIONS):
        if value != default:
            section.set(key, value, place)


def alpn_of(text):
    return ", ".join(word for word in text.replace(",", " ").split())

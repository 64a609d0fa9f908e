"""Splits haproxy.cfg into words, sections and statements."""

import re

UNITS = {"us": 1, "ms": 1000, "s": 10**6, "m": 6 * 10**7, "h": 36 * 10**8, "d": 864 * 10**8}

SECTIONS = ("global", "defaults", "frontend", "backend", "listen", "peers", "resolvers",
            "userlist", "mailers", "cache", "program", "ring", "fcgi-app", "http-errors",
            "log-forward", "log-profile", "traces", "crt-store", "acme")


def haproxy_words(text, environment):
    """Splits a line as HAProxy does. Returns (words, names of variables that are not set)."""
    words, word, unset = [], None, []
    quote, i = None, 0
    while i < len(text):
        char = text[i]
        i += 1
        if char == "\\" and quote != "'" and i < len(text):
            char = text[i]
            i += 1
            if char == "x" and re.match(r"[0-9a-fA-F]{2}", text[i:]):
                char, i = chr(int(text[i:i + 2], 16)), i + 2
            elif char in "nrt":
                char = {"n": "\n", "r": "\r", "t": "\t"}[char]
            elif char not in "\\ #'\"$":
                char = "\\" + char
            word = (word or "") + char
        elif quote and char == quote:
            quote = None
        elif not quote and char in "'\"":
            quote, word = char, word or ""
        elif quote == '"' and char == "$" and (
                match := re.match(r"\{([A-Za-z_.][\w.]*)(\[\*\])?(?:-([^}]*))?\}|([A-Za-z_]\w*)", text[i:])):
            name = match[1] or match[4]
            i += match.end()
            if name not in environment and match[3] is None:
                unset.append(name)
            word = (word or "") + environment.get(name, match[3] or "")
        elif not quote and char == "#":
            break
        elif not quote and char in " \t":
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + char
    return words + ([word] if word is not None else []), unset


class HaproxySection:
    """statements: [(words, place)], those of the defaults first."""

    def __init__(self, kind, name, place, inherited=()):
        self.kind, self.name, self.place = kind, name, place
        self.statements = list(inherited)

    def all(self, *keyword):
        """Returns [(words after the keyword, place)]. A keyword may have several words."""
        return [(words[len(keyword):], place) for words, place in self.statements
                if words[:len(keyword)] == list(keyword)]

    def last(self, *keyword):
        found = self.all(*keyword)
        return found[-1] if found else (None, None)

    def option(self, name):
        """Returns (words after the name, place) of an option that is on, or (None, None)."""
        result = (None, None)
        for words, place in self.statements:
            if words[:2] == ["option", name]:
                result = (words[2:], place)
            elif words[:3] == ["no", "option", name]:
                result = (None, None)
        return result


def dscp_of_tos(words, actions):
    """The DSCP of an unconditional rule "content set-bc-tos 0xb8", or None. The lower two bits of TOS are
    not a part of it."""
    if len(words) != 3 or words[1] not in actions:
        return None
    try:
        tos = int(words[2], 0)
    except ValueError:
        return None
    return tos >> 2 if 0 <= tos <= 255 else None

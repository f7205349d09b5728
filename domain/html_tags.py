"""The attributes of an HTML tag as browsers read them: patterns for the WHATWG standard's tokenizer, section 13.2.5.

A `<` among attributes is never matched: it is rare there, and no search over a stranger's markup may run past one.
The patterns are for `re.ASCII`, because HTML knows no other letters and blanks.
"""

from __future__ import annotations

from typing import Final

BLANK: Final = r"[ \t\n\f\r]"
VALUE: Final = rf"""{BLANK}*+={BLANK}*+(?:"[^"<]*+"|'[^'<]*+'|[^ \t\n\f\r"'<>][^ \t\n\f\r<>]*+|(?=>))"""
"""A quote means something only directly behind the `=`."""
ATTRIBUTE: Final = rf"(?:[^ \t\n\f\r/<>][^ \t\n\f\r/<>=]*+(?:{VALUE}|(?!{BLANK}*+=)))"
BETWEEN: Final = r"[ \t\n\f\r/]"
"""What ends a tag's name, and each attribute."""
ATTRIBUTES: Final = rf"(?:{BETWEEN}++|{ATTRIBUTE})*+"

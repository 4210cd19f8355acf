"""One reader for every document that people write: files, pasted text and values of options.

``text`` decodes files, ``json_text``, ``yaml_text`` and ``separated`` parse them, and ``values`` holds the rules that
every value obeys in any format. An error is a ``DataError`` of one line: the place (file, line, row or
key), the rule, the value (shortened) and the remedy. Files that this package writes itself are read without it.
"""

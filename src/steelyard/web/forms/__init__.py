"""Forms made of the settings catalogue: what is declared once on a model becomes fields, and what is posted changes.

`field` says what a field is, `making` makes them, `posted` reads what a browser sent, `wording` turns the catalogue's
words into those of a page. All pure.
"""

"""The formats of the field, one module each: a message in, positions out, nothing read or written.

A decoder raises nothing but `Unreadable`, whatever it is given. What it gives is checked like every
other ping (`app.checks`), under the call sign that the identifier stands for.
"""

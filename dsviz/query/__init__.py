"""What can be asked of a traced run: pure functions over the store, the same for page and terminal.

Every answer is made of plain lists, dicts, strings and numbers, so it can be sent as JSON or printed.
"""

"""What counts as a line of code."""

from lines_of_code import lines_of_code, sizes

EXAMPLE = '''"""A module's docstring,
on two lines."""

# a comment
NAME = 1  # one


class Room:
    """A class's."""

    text = """a text
    # of two lines"""

    def door(self):
        """A function's."""
        return (

            self.text
        )
'''


def test_docstrings_comments_and_blank_lines_are_not_counted():
    assert lines_of_code(EXAMPLE) == 1 + 1 + 2 + 1 + 3


def test_a_docstring_alone_is_no_line():
    assert lines_of_code("") == lines_of_code('"""Only a docstring."""\n') == 0


def test_sizes_are_by_room(tmp_path):
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "one.py").write_text("a = 1\n")
    (tmp_path / "room" / "two.py").write_text("b = 1\nc = 2\n")
    (tmp_path / "errors.py").write_text("d = 1\n")
    assert sizes(tmp_path) == {"room": 3, "errors.py": 1}

"""What the site needs beside the pages of docs: the pages above them, and links that fit the built pages.

The README is the first page. In the repository the links of all pages fit GitHub; here those that leave `docs` are
turned towards the site.
"""

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
ABOVE = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
LINK_IN_HTML = re.compile(r'(href=")([\w./-]+)\.(?:ipynb|md)(#[\w-]*)?(")')


def on_files(files, config):
    """Adds the pages that stand above `docs`."""
    for name, page in ABOVE.items():
        text = LINK.sub(lambda match: match[1] + within_docs(match[2]) + match[3], (ROOT / name).read_text("utf-8"))
        files.append(File.generated(config, page, content=text))
    return files


def within_docs(link):
    """Returns where a link of a page above `docs` leads in the site."""
    file, anchor, place = link.partition("#")
    return ABOVE.get(file, file.removeprefix("docs/")) + anchor + place


def on_page_markdown(markdown, page, **_):
    """Turns links that leave `docs` towards the pages that are added."""

    def turned(match):
        link = match[2]
        for name, target in ABOVE.items():
            link = re.sub(rf"^((?:\.\./)*)\.\./{name}", rf"\1{target}", link)
        return match[1] + re.sub(r"(^|/)examples/$", r"\1extending.md", link) + match[3]

    return LINK.sub(turned, markdown)


def on_page_content(html, page, **_):
    """Turns the links of a notebook, which the notebooks' plugin leaves as they are, towards the built pages.

    Raises:
        FileNotFoundError: one leads nowhere.
    """
    if not page.file.src_uri.endswith(".ipynb"):
        return html
    for _, link, _, _ in LINK_IN_HTML.findall(html):
        if not any((Path(page.file.abs_src_path).parent / f"{link}{end}").exists() for end in (".md", ".ipynb")):
            raise FileNotFoundError(f"{page.file.src_uri} links to {link}")
    return LINK_IN_HTML.sub(r"\1\2.html\3\4", html)

"""Posters are made in the background, the most urgent first, and kept."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from batchgen.files.findings import Findings, Pictures
from batchgen.review.posters import Film, Posters

FILMS = [Film(f"{n:064x}", f"film{n}") for n in range(6)]


class Decoder:
    """Stands in for a decode: each film waits until it is let go."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.began, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, path: Path) -> tuple[Findings, Pictures | None]:
        self.seen.append(path.name)
        self.began.release()
        self.go.acquire()
        if path.name == "film3":
            raise RuntimeError
        return Findings(frames=1), Pictures(b"poster", b"strip")


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> Decoder:
    monkeypatch.setattr("batchgen.review.posters.find_spec", lambda _: True)
    return Decoder()


def test_what_is_asked_for_last_comes_first_and_each_film_once(tmp_path: Path, decoder: Decoder) -> None:
    """While one film is decoded, the page scrolls on and asks for others."""
    posters = Posters(tmp_path, threads=1, check=decoder)
    posters.want(FILMS[:3])
    decoder.began.acquire()
    posters.want(FILMS[2:5])
    decoder.go.release(6)
    posters.close_when_idle()
    assert decoder.seen == ["film0", "film2", "film3", "film4", "film1"]
    assert posters.rev == 5
    assert posters.since(3) == [FILMS[4].sha256, FILMS[1].sha256]


def test_a_film_that_fails_is_one_without_a_poster(tmp_path: Path, decoder: Decoder) -> None:
    decoder.go.release(9)
    posters = Posters(tmp_path, threads=2, check=decoder)
    posters.want(FILMS[2:5])
    posters.close_when_idle()
    assert [posters.find(film.sha256) is not None for film in FILMS[2:5]] == [True, False, True]


def test_another_server_finds_what_was_kept_and_decodes_nothing(tmp_path: Path, decoder: Decoder) -> None:
    decoder.go.release(9)
    first = Posters(tmp_path, threads=1, check=decoder)
    first.want(FILMS[:2])
    first.close_when_idle()
    again = Posters(tmp_path, threads=1, check=decoder)
    again.want(FILMS[:2])
    again.close_when_idle()
    assert decoder.seen == ["film0", "film1"]
    assert again.find(FILMS[0].sha256) == Findings(frames=1)


def test_without_the_extra_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchgen.review.posters.find_spec", lambda _: None)
    decoder = Decoder()
    posters = Posters(tmp_path, check=decoder)
    posters.want(FILMS)
    posters.close()
    assert (posters.able, decoder.seen, list(tmp_path.iterdir())) == (False, [], [])


def test_a_folder_that_can_not_be_written_costs_only_the_cache(tmp_path: Path, decoder: Decoder) -> None:
    decoder.go.release(9)
    (tmp_path / ".review").write_text("in the way")
    posters = Posters(tmp_path, threads=1, check=decoder)
    posters.want(FILMS[:1])
    posters.close_when_idle()
    assert posters.find(FILMS[0].sha256) == Findings(frames=1)

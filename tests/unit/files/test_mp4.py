from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mp4 import box, fragmented, ftyp, moov, trak, video

from batchgen.files.mp4 import BrokenVideo, Expect, Structure, flags, inspect, sniff, walk

GOOD = {
    "header last": video(900),
    "fast start": video(900, fast_start=True),
    "64-bit size": video(900, wide=True),
    "open-ended": video(900, open_ended=True),
    "version 1": video(900, version=1),
    "fragmented": fragmented(1),
    "fragmented, with an index": fragmented(3, index=True),
}


def render(path: Path, frames: int = 24, **options: str) -> Path:
    """Render a real H.264 file of 208 × 120."""
    av, size = pytest.importorskip("av"), (208, 120)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for n in range(frames):
            frame = av.VideoFrame(*size, "rgb24")
            frame.planes[0].update(bytes((i * 7 + n * 5) % 256 for i in range(frame.planes[0].buffer_size)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("real") / "clip.mp4")


@pytest.mark.parametrize("name", GOOD)
def test_a_whole_file_tells_its_size_and_length(name: str) -> None:
    """All layouts that encoders write must pass: a paid clip is not to be thrown away."""
    seconds = None if name.startswith("fragmented") else 5.0
    open_end = name == "fragmented"
    expected = Structure(bytes=len(GOOD[name]), seconds=seconds, size=(832, 480), open_end=open_end)
    assert walk(GOOD[name]) == expected


@pytest.mark.parametrize("name", GOOD)
def test_any_truncation_of_a_whole_file_is_caught(name: str) -> None:
    """FFmpeg opens a cut file without complaint; one missing byte must be enough for us."""
    data = GOOD[name]
    for length in range(len(data)):
        with pytest.raises(BrokenVideo):
            walk(data[:length])


def test_a_real_file_passes_and_its_truncations_do_not(real: Path) -> None:
    """Hand-built boxes could flatter the walk; an encoder's file can't."""
    data = real.read_bytes()
    told = walk(real)
    assert told.size == (208, 120)
    assert told.seconds == pytest.approx(1.0, abs=0.1)
    for length in {*range(0, len(data), max(1, len(data) // 200)), len(data) - 1}:
        with pytest.raises(BrokenVideo):
            walk(data[:length])


@pytest.mark.parametrize("movflags", ["faststart", "frag_keyframe+empty_moov"])
def test_a_real_file_of_another_layout_passes(tmp_path: Path, movflags: str) -> None:
    """The service may change its encoder's flags at any time."""
    assert walk(render(tmp_path / "clip.mp4", movflags=movflags)).size == (208, 120)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_structure_or_a_reason(data: bytes) -> None:
    """What a server sends must never be a crash of ours."""
    for source in (data, ftyp() + data, ftyp() + box(b"moov", data) + box(b"mdat", b"x")):
        try:
            assert walk(source).bytes == len(source)
        except BrokenVideo as error:
            assert str(error)


@given(st.integers(0, len(GOOD["fast start"]) - 1), st.integers(0, 255))
def test_any_changed_byte_gives_a_structure_or_a_reason(position: int, value: int) -> None:
    """Lying sizes, counts and offsets inside a real structure are bounded."""
    data = bytearray(GOOD["fast start"])
    data[position] = value
    try:
        walk(bytes(data))
    except BrokenVideo as error:
        assert str(error)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        (bytes(5000), "nothing but zeros"),
        (b"\n <!DOCTYPE html><html>502", "an HTML page"),
        (b"<?xml version='1.0'?><Error>", "an XML or HTML text"),
        (b'{"error": "expired"}', "a JSON text"),
        (b"Service Unavailable", "a text"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"\x1a\x45\xdf\xa3\x01", "a WebM"),
        (bytes(range(1, 200)), "unknown data"),
    ],
)
def test_what_is_no_video_is_called_by_its_name(data: bytes, words: str) -> None:
    """At 8 in the morning "an HTML page" helps, "invalid file" does not."""
    with pytest.raises(BrokenVideo, match=words) as caught:
        walk(data)
    assert caught.value.foreign


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (ftyp() + box(b"mdat", b"data"), "no header"),
        (ftyp() + moov(5, (8, 8), []), "no picture data"),
        (ftyp() + moov(5, (8, 8), []) + box(b"mdat"), "no picture data"),
        (ftyp() + moov(5, (8, 8), [3, 2]) + box(b"mdat", b"data"), "1 bytes of its frames are missing"),
        (ftyp() + moov(5, (8, 8), [4], 10_000) + box(b"mdat", b"data"), "points beyond its end"),
        (fragmented() + b"\0\0\0", "3 stray bytes"),
        (fragmented() + box(b"moof", bytes(20))[:-1], "1 bytes of 'moof' are missing"),
        (video() + box(b"mdat", bytes(20))[:-1], "1 bytes of 'mdat' are missing"),
        (ftyp() + struct.pack(">I4s", 4, b"mdat"), "says that it has 4 bytes"),
        (ftyp() + struct.pack(">I4sQ", 1, b"mdat", 2**63), "are missing"),
        (ftyp() + struct.pack(">I4sQ", 1, b"mdat", 3), "says that it has 3 bytes"),
        (ftyp() + struct.pack(">I4sI", 1, b"mdat", 3), "within the header"),
        (ftyp() + box(b"free") * 20_001, "more than 20,000 boxes"),
    ],
)
def test_a_damaged_file_is_refused_with_its_reason(data: bytes, words: str) -> None:
    """Each rule of the walk, and that a lie costs neither time nor memory."""
    with pytest.raises(BrokenVideo, match=words) as caught:
        walk(data)
    assert not caught.value.foreign


def test_a_header_too_large_to_be_true_is_not_read() -> None:
    """A file of gigabytes that calls itself a header must not fill the memory."""

    class Huge(io.BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            return super().seek(offset, whence) if whence == 0 else 2**31 + len(ftyp()) + 8

    with pytest.raises(BrokenVideo, match="a header of 2,147,483,648 bytes"):
        walk(Huge(ftyp() + struct.pack(">I4s", 2**31 + 8, b"moov")))


_LYING = trak((8, 8), [1], 0).replace(struct.pack(">III", 0, 0, 1), struct.pack(">III", 0, 0, 2**32 - 1))


@pytest.mark.parametrize(
    "header",
    [
        moov(5, (0, 0), []),
        box(b"moov"),
        box(b"moov", b"\0" * 100),
        box(b"moov", box(b"free") * 20_001),
        box(b"moov", box(b"trak", box(b"tkhd", b"short"))),
        box(b"moov", box(b"mvhd", b"\1")),
        box(b"moov", struct.pack(">I4s", 99, b"trak")),
        box(b"moov", _LYING),
    ],
)
def test_an_odd_header_that_came_whole_is_flagged_and_kept(header: bytes) -> None:
    """The clip is paid for; a count of four billion frames costs no memory."""
    structure = walk(ftyp() + header + box(b"mdat", b"data"))
    assert structure.odd
    assert flags(structure, Expect()) == "header"


LOOSE = {
    "a line end": video() + b"\r\n",
    "seven bytes": video() + b"\0" * 7,
    "a page": video() + b"<!-- served by cache-3 -->\n",
    "a box of the future, cut": video() + box(b"uuid", bytes(30))[:-3],
    "free before ftyp": box(b"free", bytes(9)) + video(),
    "skip before ftyp": box(b"skip") + box(b"wide") + video(fast_start=True),
    "no ftyp": video()[len(ftyp()) :],
    "two headers": video() + moov(5, (832, 480), [2_500, 2_500], len(ftyp()) + 8),
}


@pytest.mark.parametrize("name", LOOSE)
def test_what_stands_round_a_whole_film_is_a_flag(name: str) -> None:
    """It plays, and it is paid for: it was fetched 15 times, and thrown away."""
    structure = walk(LOOSE[name])
    assert (structure.size, structure.seconds) == ((832, 480), 5.0)
    assert flags(structure, Expect()) == "layout"
    assert not flags(walk(video()), Expect())


def test_an_open_file_is_left_open(tmp_path: Path) -> None:
    """The caller may want to sync it afterwards."""
    (tmp_path / "a").write_bytes(video())
    with (tmp_path / "a").open("rb") as file:
        walk(file)
        assert not file.closed


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        (Expect(), ""),
        (Expect(bytes=100, size=(832, 480), seconds=5), ""),
        (Expect(seconds=5.06), ""),
        (Expect(bytes=99), "bytes"),
        (Expect(size=(1280, 720), seconds=10), "size duration"),
    ],
)
def test_what_is_other_than_asked_is_a_flag(expect: Expect, told: str) -> None:
    """The clip is paid for, so a difference is told and the file is kept."""
    assert flags(Structure(bytes=100, seconds=5.0, size=(832, 480)), expect) == told


def test_what_the_file_does_not_tell_is_not_flagged() -> None:
    """A fragmented file has no duration in its header: that is no difference."""
    assert flags(Structure(bytes=1), Expect(size=(1, 1), seconds=5)) == ""


def test_fragments_are_checked_by_their_own_index() -> None:
    """Cut between two of them, a film without one looks whole; it is flagged unless somebody said how long it is."""
    for whole in (fragmented(3, index=True), fragmented(3, trailer=True)):
        assert flags(walk(whole), Expect()) == ""
    indexed = fragmented(3, index=True)
    border = indexed.rindex(b"moof") - 4
    with pytest.raises(BrokenVideo, match="bytes of its fragments are missing"):
        walk(indexed[:border])
    with pytest.raises(BrokenVideo, match="last fragment has no data"):
        walk(fragmented(2)[: fragmented(2).rindex(b"mdat") - 4])
    cut = walk(fragmented(3)[: fragmented(3).rindex(b"moof") - 4])
    assert flags(cut, Expect()) == "length"
    assert flags(cut, Expect(), length_known=True) == flags(cut, Expect(bytes=cut.bytes)) == ""


def test_an_index_that_makes_no_sense_says_nothing() -> None:
    """The film is paid for: what can't be read is no proof that it was cut."""
    odd = ftyp() + moov(0, (832, 480), []) + box(b"sidx", bytes(9)) + fragmented(1)[len(fragmented(0)) :]
    assert walk(odd).open_end
    wide = box(b"sidx", bytes([1]), bytes(19), struct.pack(">QHHIII", 0, 0, 1, 10**6, 0, 0))
    with pytest.raises(BrokenVideo, match="bytes of its fragments are missing"):
        walk(ftyp() + moov(0, (832, 480), []) + wide + fragmented(1)[len(fragmented(0)) :])


def test_a_kept_file_is_inspected_in_words(tmp_path: Path) -> None:
    """verify prints these words."""
    path, data = tmp_path / "a.mp4", video()
    digest = hashlib.sha256(data).hexdigest()
    assert inspect(path) == "missing"
    path.write_bytes(data)
    assert inspect(path) == inspect(path, len(data), digest) == inspect(path, None, digest.upper()) == ""
    assert "were recorded" in inspect(path, len(data) + 1, digest)
    assert "has changed" in inspect(path, len(data), "0" * 64)
    path.write_bytes(data[:-1])
    assert "not a complete video" in inspect(path, len(data), digest)
    assert "can't be read" in inspect(tmp_path)


def test_an_mp4_is_not_named_as_something_else() -> None:
    """`sniff` is only asked about what is no MP4, and must not guess."""
    assert sniff(video()[:256]) == ""

"""The picture of the house is that of its contracts."""

from tests.support.architecture_picture import PICTURE, layers, picture


def test_the_picture_is_drawn_from_the_contracts_of_today() -> None:
    wanted = "python -m tests.support.architecture_picture draws it anew"
    assert PICTURE.read_text("utf-8") == picture(), wanted


def test_every_room_has_a_place_in_the_contract() -> None:
    source = PICTURE.parents[1] / "src/gecko_kedro"
    rooms = {place.name for place in source.iterdir() if (place / "__init__.py").is_file()}
    assert rooms <= {room for row in layers() for room in row}

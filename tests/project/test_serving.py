"""What goes into a trained model, and what comes out: hostile input, pictures, exports."""

import ctypes
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from runs import read, train
from test_full_disk import needs_a_disk

from data.digit_pictures import digit_image
from data.fake_digits import fake_digits
from data.loaders import load_mnist
from models import MODELS, make_model
from models.mnist import MNIST
from serving import comparison
from serving.comparison import largest_difference
from serving.export import export_model
from serving.inputs import read_inputs
from serving.outputs import FORMATS, write_predictions
from settings import ConfigError
from training.files import PROJECT, sha256
from training.run import Run

TOLERANCE = 1e-5  # of a probability, between TensorFlow and readers with products of their own


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A finished small run of MNIST on generated digits. Not to be changed."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    config = {"model_name": "MNIST", "fake_data": True, "random_seed": 1, "hidden1": 16}
    train(config | {"max_iter": 600, "jit": "off", "result_dir": str(folder)})
    return folder


@pytest.fixture(scope="module")
def model(digits):
    with make_model({"result_dir": str(digits)}) as model:
        yield model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """An export, some images, and what the model predicts for them."""
    folder = tmp_path_factory.mktemp("exported") / "export"
    export_model(model, folder)
    images = fake_digits("test")["images"][:100]
    return folder, images, model.infer({"images": images})


def picture(digit, size=(300, 200), ink=40, paper=230, mode="RGB"):
    """A digit as it stands on paper: uint8 [28, 28] to a picture."""
    large = Image.fromarray(digit).resize((140, 140), Image.Resampling.BICUBIC)
    page = Image.new("L", size, paper)
    page.paste(ink, (60, 20), large)
    return page.convert(mode)


# ---- pictures


LOOKS = [{}, {"ink": 250, "paper": 10}, {"mode": "L"}, {"ink": 120, "paper": 170}]


@pytest.mark.skipif("MNIST_MIRROR" not in os.environ, reason="needs MNIST_MIRROR, the real digits")
@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_digit_on_paper_becomes_what_it_is_in_mnist(look, tmp_path):
    from data.download import download

    download(folder=tmp_path / "mnist", mirror=os.environ["MNIST_MIRROR"])
    images = load_mnist("test", tmp_path / "mnist")["images"][:100]
    found = [digit_image(picture(image, **look))[0] for image in images]
    assert apart(found, images) < 0.05 < apart(found, images[::-1])
    assert apart([np.roll(image, 3, axis=1) for image in images], images) > 0.05


@pytest.mark.parametrize("look", LOOKS[1:], ids=str)
def test_size_paper_and_ink_of_a_picture_do_not_matter(look):
    images = fake_digits("test")["images"][:50].copy()
    images[images < 128] = 0  # their noise, which would be ink
    expected = [digit_image(picture(image))[0] for image in images]
    found = [digit_image(picture(image, size=(400, 300), **look))[0] for image in images]
    assert apart(found, expected) < 0.01 < apart(found, expected[::-1])


def apart(found, images):
    """The mean difference of pixels, of 1."""
    return np.abs(np.float32(found) - np.float32(images)).mean() / 255


def test_what_was_done_to_a_picture_is_said(shell, digits, tmp_path):
    image = fake_digits("test")["images"][0]
    picture(image).save(tmp_path / "b.jpg")
    picture(image, ink=240, paper=5, mode="L").save(tmp_path / "a.png")
    Image.fromarray(image).save(tmp_path / "c.PNG")
    transparent = picture(image, paper=255).convert("RGBA")
    transparent.putalpha(picture(image, paper=255, mode="L").point(lambda grey: 255 * (grey < 200)))
    transparent.save(tmp_path / "d.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._a.png").write_text("of a Mac")
    (tmp_path / "folder.png").mkdir()
    status, output, errors = shell("--infer", f"--result_dir={digits}", f"--input={tmp_path}")
    assert (status, errors) == (0, "")
    first, *lines = output.splitlines()
    assert first.endswith("images uint8 [4, 28, 28]")
    assert lines[0].startswith("a.png: 300 x 200 L: cut to ")
    assert lines[1].startswith("b.jpg: 300 x 200 RGB: inverted, as it is dark on light, cut to ")
    assert lines[2] == "c.PNG: 28 x 28 L: taken as it is"
    assert lines[3].startswith("d.png: 300 x 200 RGBA: inverted")
    answers = [line.split(": ") for line in lines[4:]]
    assert [name for name, _ in answers] == ["a.png", "b.jpg", "c.PNG", "d.png"]
    assert len({answer.split(",")[0] for _, answer in answers}) == 1


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_a_photo_that_is_stored_turned_is_read_upright_by_its_tag(kind, model, tmp_path):
    upright = picture(fake_digits("test")["images"][3])
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    orientation = Image.Exif()
    orientation[0x0112] = 6  # "turn it clockwise", as a phone held upright writes it
    upright.save(tmp_path / f"upright.{kind}")
    turned.save(tmp_path / f"tagged.{kind}", exif=orientation)
    turned.save(tmp_path / f"turned.{kind}")
    found = read_inputs(model, str(tmp_path))
    tagged, turned, right = found.arrays["images"]
    assert found.names == [f"{name}.{kind}" for name in ("tagged", "turned", "upright")]
    assert apart(tagged, right) < 0.02 < apart(turned, right)


def test_a_picture_of_40_megapixels_is_read(model, tmp_path):
    large = picture(fake_digits("test")["images"][0]).resize((8000, 5000))
    large.save(tmp_path / "large.jpg")
    images = read_inputs(model, str(tmp_path / "large.jpg")).arrays["images"]
    assert images.shape == (1, 28, 28) and images.max() == 255


def test_any_model_of_small_images_takes_pictures(tmp_path, monkeypatch):
    class Plain(MNIST):
        picture = MNIST.__mro__[1].picture  # BasicModel's

    monkeypatch.setitem(MODELS, "Plain", Plain)
    Image.new("RGB", (60, 40), (90, 90, 90)).save(tmp_path / "grey.png")
    with make_model({"model_name": "Plain", "fake_data": True}) as model:
        found = read_inputs(model, str(tmp_path / "grey.png"))
    assert found.notes == ["60 x 40 RGB: resized to 28 x 28 L"]
    assert (found.arrays["images"] == 90).all()


# ---- what cannot be read


def bomb():
    """A PNG that says it has 60,000 x 60,000 pixels."""
    file = io.BytesIO()
    Image.new("L", (10, 10)).save(file, "PNG")
    content = bytearray(file.getvalue())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


LINE = [  # for LinearRegression: name of the file, content, what the error says
    ("x.csv", "x,y\n1,\n", None),
    ("x.csv", "x\n1\n\n2\n", None),
    ("x.csv", "x\n1\ntwo\n", "line 3, column 1 holds 'two', not a number"),
    ("x.csv", "y,x\n1,2\n1,\n", "line 3, column 2 is empty"),
    ("x.csv", "y,z\n1,2\n", "its header has no column x; it needs x"),
    ("x.csv", "1\n2,3\n", "line 2 has 2 cells, line 1 has 1"),
    ("x.csv", "1,2\n3,4\n", "it has 2 columns; an example has 1: x float32 [n]"),
    ("x.csv", "", "it is empty"),
    ("x.csv", "nan\n", "x of example 0 holds nan, which is not finite"),
    ("x.csv", "1e50\n", "x of example 0 holds 1e+50, which is not finite"),
    ("x.csv", b"\xff\xfe\x00", "it is not text in UTF-8"),
    ("x.csv", b"\xef\xbb\xbfX\r\n1\r\n", None),
    ("x.csv", "x,x\n1,2\n", "its header has x more than once"),
    ("x.csv", "x\n", "it has no examples"),
    ("x.csv", "1;2\n3;4\n", "holds '3;4', not a number; commas separate cells"),
    ("x.csv", "1,O\n1,2\n", "line 1, column 2 holds 'O', not a number"),
    ("x.npy", npy(np.array([1, 2])), None),
    ("x.npy", npy(np.array([True])), "x must be float32 [n], not bool [1]"),
    ("x.csv", '"' + "1" * 200_000, "field larger than field limit"),
    ("x.json", "[1, 2", "it is not JSON"),
    ("x.json", "[" * 100_000, "recursion"),
    ("x.json", '[{"y": 1}]', "example 0 has no x; it needs x float32"),
    ("x.json", '[1, "two"]', "x must hold numbers"),
    ("x.json", "[1, [2]]", "x must hold numbers"),
    ("x.json", "[]", "there are no examples"),
    ("x.npy", npy(np.float32([[1, 2]])), "x must be float32 [n], not float32 [1, 2]"),
    ("x.npy", npy(np.array([object()])), "it cannot be read as .npy"),
    ("x.npy", b"\x93NUMPY\x01", "it cannot be read as .npy"),
    (
        "x.png",
        png(Image.new("L", (9, 9))),
        "LinearRegression takes x float32 [n], and no pictures",
    ),
    ("x.txt", "1", "a file must be one of .npy, .csv, .json, .png, .jpg, .jpeg"),
]
DIGITS = [  # for MNIST
    ("x.png", "no picture", "it is neither PNG nor JPEG"),
    ("x.png", png(picture(np.eye(28, dtype=np.uint8) * 255))[:400], "cannot be read as a picture"),
    ("x.png", png(Image.new("RGB", (50, 50), "white")), "all pixels are nearly alike"),
    ("x.png", bomb(), "it cannot be read as a picture: Image size (3600000000 pixels) exceeds"),
    ("x.gif", b"GIF89a", "a file must be one of"),
    ("x.npy", npy(np.zeros([3, 28, 28], np.float32)), "must be uint8 [n, 28, 28], not float32"),
    ("x.npy", npy(np.zeros([3, 784], np.uint8)), "must be uint8 [n, 28, 28], not uint8 [3, 784]"),
    ("x.npy", npy(np.full([28, 28], 300)), "holds 300, which is not uint8"),
    ("x.csv", "1,2\n", "it has 2 columns; an example has 784"),
]  # fmt: skip


@pytest.mark.parametrize("name, content, message", LINE)
def test_what_a_line_cannot_be_inferred_from_is_refused_in_a_line(
    name, content, message, line_run, tmp_path, shell
):
    check_refusal(name, content, message, line_run[0], tmp_path, shell)


@pytest.mark.parametrize("name, content, message", DIGITS)
def test_what_is_no_image_of_a_digit_is_refused_in_a_line(
    name, content, message, digits, tmp_path, shell
):
    check_refusal(name, content, message, digits, tmp_path, shell)


def check_refusal(name, content, message, run, tmp_path, shell):
    """message: what the error says after the file; None if there is none."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    status, output, errors = shell("--infer", f"--result_dir={run}", f"--input={path}")
    if message is None:
        assert (status, errors) == (0, "")
        return
    assert status == 2 and errors.count("\n") == 1, errors
    assert errors.startswith(f"error: --input={path}: ") and message in errors, errors


def test_forms_that_do_not_exist_are_refused_with_those_that_do(shell, line_run, digits, tmp_path):
    flags = ["--infer", f"--result_dir={line_run[0]}"]
    for more, words in [
        (["--input=two"], "--input=two: there is no such file; give a number list, .npy, .csv"),
        ([f"--input={tmp_path}"], "LinearRegression takes x float32 [n], and no pictures"),
        (["--output=here.xyz"], "--output=here.xyz: end it in one of .txt, .json, .csv, .npy"),
        (["--format=npy"], "--format=npy needs --output=FILE"),
        (["--format=markdown"], "--format=markdown goes with --compare"),
    ]:
        status, _, errors = shell(*flags, *more)
        assert status == 2 and words in errors, errors
    errors = shell("--infer", f"--result_dir={digits}", f"--input={tmp_path}")[2]
    assert "the folder holds no .png, .jpg, .jpeg" in errors
    nowhere = tmp_path / "none" / "y.csv"
    answer = shell(*flags, "--input=1", f"--output={nowhere}")
    assert answer[0] == 1 and answer[2] == f"error: {nowhere}: No such file or directory\n"


def test_standard_input_may_hold_any_form(digits, line_run, tmp_path):
    """As in `cat x.png | python main.py --infer --input=- ...`; all in one process."""
    image = png(picture(fake_digits("test")["images"][0]))
    for run, content, answers in [
        (line_run[0], b"2\n-1\n", 2),
        (line_run[0], b" \n[2, -1, 3]", 3),
        (line_run[0], npy(np.float32([1])), 1),
        (digits, image, 1),
    ]:
        with make_model({"result_dir": str(run)}) as model, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
            arrays = read_inputs(model, "-").arrays
        assert {len(array) for array in arrays.values()} == {answers}
    with (
        make_model({"result_dir": str(line_run[0])}) as model,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stdin", None)
        with pytest.raises(ConfigError, match="it is empty"):
            read_inputs(model, "-")


def test_what_a_program_reads_has_standard_output_for_itself(shell, digits):
    flags = ["--infer", f"--result_dir={digits}"]
    status, output, errors = shell(*flags, f"--input={PROJECT / 'docs/three.jpg'}", "--format=json")
    (answer,) = json.loads(output)
    assert status == 0 and list(answer) == ["file", "digit", "probability"]
    assert answer["digit"] == 3
    assert "Step 600 of" in errors and "inverted" in errors


def test_what_an_example_is_known_by_is_not_taken_for_a_prediction(shell, line_run):
    flags = ["--infer", f"--result_dir={line_run[0]}", "--format=csv"]
    assert shell(*flags)[1].startswith("x,given_y,y\n-1.0,")
    assert shell(*flags, "--input=2")[1].startswith("x,y\n2.0,")


def test_without_input_the_first_examples_of_valid_are_answered(line_run):
    with make_model({"result_dir": str(line_run[0])}) as model:
        found = read_inputs(model, "").arrays["y"]
        few = {split: model.load(split)["y"][:10] for split in ("train", "valid", "test")}
    assert [split for split, y in few.items() if np.array_equal(found, y)] == ["valid"]


def test_predictions_of_any_kind_take_a_line_each():
    predictions = {
        "words": np.array([b"yes", b"n\nno"], object),
        "scores": np.array([[0.5, np.nan], [1e-9, np.inf]], np.float32),
        "large": np.ones([2, 3, 30], np.float32),
    }
    lines = FORMATS["text"](predictions, {}).splitlines()
    assert len(lines) == 2 and lines[0].startswith("example 0: words = yes, scores = [")
    rows = json.loads(FORMATS["json"](predictions, {"file": np.array(["a", "b"])}))
    assert rows[0]["scores"] == [0.5, None] and rows[1]["words"] == "n\nno"
    assert FORMATS["csv"](predictions, {}).startswith("words,scores_0,scores_1,large_0,")
    table = np.load(io.BytesIO(FORMATS["npy"](predictions, {})))
    assert table["words"].tolist() == [b"yes", b"n\nno"] and table["large"].shape == (2, 3, 30)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes and links")
def test_links_and_pipes_stay_what_they_are(tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
    write_predictions({"y": np.ones(2)}, {}, "csv", str(tmp_path / "link.csv"))
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text() == "y\n1.0\n1.0\n"
    os.mkfifo(pipe := tmp_path / "pipe")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_predictions({"y": np.ones(1)}, {}, "csv", str(pipe))
    assert os.read(reader, 100) == b"y\n1.0\n" and pipe.is_fifo()
    os.close(reader)


# ---- exports


def test_an_export_of_each_model_answers_as_the_model_does(exported, line_run, tmp_path):
    folder, _, _ = exported
    for about in (read(folder, "model.json"), exported_line(line_run[0], tmp_path / "export")):
        assert about["differences"] == {"model.pb": 0.0, "saved_model": 0.0}
        assert about["model.tflite"] == "written"


@pytest.mark.parametrize(
    "found, expected, difference",
    [
        ([1, 2], [1, 2.5], 0.2),
        ([np.nan, 5], [np.nan, 5], 0.0),
        ([np.nan, 5], [1, 5], np.inf),
        ([7, np.inf], [1, np.inf], 6.0),
        ([1, 2], [1, np.nan], np.inf),
        ([1, 2, 3], [1, 2], np.inf),
    ],
)
def test_how_far_an_export_is_from_its_model(found, expected, difference):
    pair = ({"x": np.float32(values)} for values in (found, expected))
    assert largest_difference(*pair) == pytest.approx(difference)


def exported_line(run, folder):
    with make_model({"result_dir": str(run)}) as model:
        return export_model(model, folder)


def test_a_file_that_answers_otherwise_is_no_export(copy_of_finished, monkeypatch, shell):
    other = {"label": np.full(comparison.EXAMPLES, 2)}  # the answers are 0 and 1
    monkeypatch.setitem(comparison.READERS, "model.pb", lambda *arguments: other)
    status, _, errors = shell("--export", f"--result_dir={copy_of_finished}")
    assert status == 1 and "model.pb does not answer as the model does" in errors
    assert not list(copy_of_finished.glob("*export*"))


def test_an_export_says_what_goes_in_and_out_with_digests(exported):
    folder, _, _ = exported
    about = read(folder, "model.json")
    assert about["inputs"]["images"] == {
        "tensor": "images:0", "dtype": "uint8", "shape": [None, 28, 28]
    }  # fmt: skip
    assert set(about["outputs"]) == {"digit", "probability"}
    assert about["step"] == 600 and "longer side has 20 pixels" in about["a_picture_becomes"]
    assert about["files"] == {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != "model.json"
    }


@pytest.mark.skipif(find_spec("ai_edge_litert") is None, reason="LiteRT is not installed")
def test_other_programs_read_an_export_as_the_page_says(exported, tmp_path):
    """Each in a process that does not see the project: TensorFlow, LiteRT, ONNX Runtime."""
    folder, images, expected = exported
    page = (PROJECT / "docs" / "export.md").read_text(encoding="utf-8")
    shutil.copytree(folder, tmp_path / "results" / "digits" / "export")
    convert = re.search(r"^python (-m tf2onnx\.convert .*)$", page, re.M)[1].split()
    subprocess.run([sys.executable, *convert], cwd=tmp_path, check=True, capture_output=True)
    np.save(tmp_path / "x.npy", images)
    scripts = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    found = {}
    for script in scripts:
        script = script.replace("np.zeros([3, 28, 28], np.uint8)", "np.load('x.npy')")
        script = re.sub(r"print\((.*)\)$", r"np.save('y.npy', \1)", script, flags=re.M)
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True)
        assert done.returncode == 0, done.stderr
        name = re.search(r"saved_model|model\.pb|tflite|onnx", script)[0]
        found[name] = np.load(tmp_path / "y.npy")
        (tmp_path / "y.npy").unlink()
    right = expected["probability"]
    assert len(scripts) == len(found) == 4
    assert np.array_equal(found["saved_model"], right) and np.array_equal(found["model.pb"], right)
    for probabilities in found.values():
        assert np.abs(probabilities - right).max() < TOLERANCE
        assert np.abs(probabilities - right[::-1]).max() > 100 * TOLERANCE


C_API = """
import ctypes, sys
import numpy as np
library, graph_file, images_file, answers = sys.argv[1:]
tf = ctypes.CDLL(library)
for name in ("TF_NewStatus", "TF_NewGraph", "TF_NewBufferFromString", "TF_NewSessionOptions",
             "TF_NewImportGraphDefOptions", "TF_GraphOperationByName", "TF_NewSession",
             "TF_AllocateTensor", "TF_TensorData"):
    getattr(tf, name).restype = ctypes.c_void_p
tf.TF_Message.restype = ctypes.c_char_p
P = ctypes.c_void_p
status = P(tf.TF_NewStatus())
def check():
    assert tf.TF_GetCode(status) == 0, tf.TF_Message(status)
class Output(ctypes.Structure):
    _fields_ = [("operation", P), ("index", ctypes.c_int)]
content, images = open(graph_file, "rb").read(), np.load(images_file)
graph = P(tf.TF_NewGraph())
buffer = P(tf.TF_NewBufferFromString(content, ctypes.c_size_t(len(content))))
tf.TF_GraphImportGraphDef(graph, buffer, P(tf.TF_NewImportGraphDefOptions()), status)
check()
session = P(tf.TF_NewSession(graph, P(tf.TF_NewSessionOptions()), status))
check()
shape = (ctypes.c_int64 * 3)(*images.shape)
tensor = P(tf.TF_AllocateTensor(4, shape, 3, ctypes.c_size_t(images.nbytes)))  # 4: TF_UINT8
ctypes.memmove(tf.TF_TensorData(tensor), images.tobytes(), images.nbytes)
def output(name):
    return Output(tf.TF_GraphOperationByName(graph, name), 0)
found = (P * 1)()
tf.TF_SessionRun(session, None, ctypes.byref(output(b"images")), (P * 1)(tensor), 1,
                 ctypes.byref(output(b"predictions/probability")), found, 1, None, 0, None, status)
check()
data = ctypes.string_at(tf.TF_TensorData(P(found[0])), 4 * len(images))
np.save(answers, np.frombuffer(data, np.float32))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the library has this name on Linux")
def test_tensorflows_c_api_reads_the_frozen_graph(exported, tmp_path):
    folder, images, expected = exported
    import tensorflow

    library = Path(tensorflow.__file__).parent / "libtensorflow_cc.so.2"
    assert ctypes.sizeof(ctypes.c_void_p) == 8 and library.exists()
    np.save(tmp_path / "x.npy", images)
    files = [library, folder / "model.pb", tmp_path / "x.npy", tmp_path / "y.npy"]
    answer = subprocess.run([sys.executable, "-c", C_API, *files], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-2000:]
    probabilities, right = np.load(tmp_path / "y.npy"), expected["probability"]
    assert np.abs(probabilities - right).max() < TOLERANCE
    assert np.abs(probabilities - right[::-1]).max() > 100 * TOLERANCE


def test_what_is_exported_again_replaces_the_older_one_and_leaves_nothing(digits, tmp_path, shell):
    run = Path(shutil.copytree(digits, tmp_path / "run"))
    (run / ".export-new").mkdir()  # an export was killed here
    (run / "elsewhere").mkdir()
    if os.name != "nt":  # links need a privilege there
        (run / "export").symlink_to(run / "elsewhere")
    for flags in (["--step=0"], ["--step=best"], []):
        status, _, errors = shell("--export", f"--result_dir={run}", *flags)
        assert (status, errors) == (0, "")
    assert read(run, "export/model.json")["step"] == 600
    assert sorted(path.name for path in run.iterdir() if "export" in path.name) == ["export"]


def test_a_run_that_cannot_be_exported_is_refused_in_a_line(digits, tmp_path, shell):
    def refused(run, *flags):
        status, _, errors = shell("--export", f"--result_dir={run}", *flags)
        assert status == 1 and errors.count("\n") == 1, errors
        assert not (Path(run) / "export").exists()
        return errors

    def copy(name):
        return Path(shutil.copytree(digits, tmp_path / name))

    assert "holds no run" in refused(tmp_path)
    diverged = copy("diverged")
    (diverged / "status.json").write_text('{"status": "diverged"}')
    assert "diverged; name a checkpoint from before: --step=N" in refused(diverged)
    with Run(
        read(running := copy("running"), "config.json")["config"] | {"result_dir": str(running)}
    ):
        assert "is in use by" in refused(running)
    damaged = copy("damaged")
    for path in damaged.glob("checkpoints/model.ckpt-*.data*"):
        path.write_bytes(b"damaged")
    assert "holds no usable checkpoint" in refused(damaged)
    (damaged / "config.json").write_text("{")
    assert "config.json is damaged" in refused(damaged)
    assert "--step=77 is not kept" in refused(copy("complete"), "--step=77")
    status, _, errors = shell("--export", f"--result_dir={diverged}", "--step=best")
    assert (status, errors) == (0, "")


def test_a_model_that_no_file_can_hold_says_why(digits, tmp_path, monkeypatch, shell):
    import tensorflow as tf

    class Worded(MNIST):
        """Its answers come from a table that lies outside of the graph."""

        def predictions(self, outputs):
            table = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(tf.range(10), tf.range(10)), -1
            )
            digits = tf.argmax(outputs, 1, tf.int32)
            return {"digit": table.lookup(digits)}

    run = Path(shutil.copytree(digits, tmp_path / "run"))
    Worded.__name__ = "MNIST"
    monkeypatch.setitem(MODELS, "MNIST", Worded)
    status, _, errors = shell("--export", f"--result_dir={run}")
    assert status == 1 and errors.startswith("error: MNIST cannot be exported: "), errors
    assert errors.count("\n") == 1 and "able" in errors
    assert not any("export" in path.name for path in run.iterdir())


def test_layers_that_cannot_be_exported_say_why(tmp_path, monkeypatch, shell):
    import tensorflow as tf

    class Kept(MNIST):
        """A layer of Keras that is made once and belongs to the graph of training."""

        def build_graph(self, examples):
            self.layer = tf.keras.layers.Dense(10)
            super().build_graph(examples)

        def inference(self, batch, training):
            return self.layer(tf.reshape(tf.cast(batch["images"], tf.float32), [-1, 784]))

    class Recurrent(MNIST):
        """LiteRT has no such loop."""

        def inference(self, batch, training):
            values = tf.cast(batch["images"], tf.float32) / 255
            return self.dense("last", self.recurrent("gru", values, 4, "gru")[:, -1], 10)

    for model_class in (Kept, Recurrent):
        monkeypatch.setitem(MODELS, model_class.__name__, model_class)
        run = tmp_path / model_class.__name__
        config = {"model_name": model_class.__name__, "fake_data": True, "jit": "off"}
        train(config | {"max_iter": 2, "result_dir": str(run)})
    status, _, errors = shell("--export", f"--result_dir={tmp_path / 'Kept'}")
    assert status == 1 and "make them in inference" in errors and errors.count("\n") == 1
    status, output, errors = shell("--export", f"--result_dir={tmp_path / 'Recurrent'}")
    assert (status, errors) == (0, "") and "not written: LiteRT has no TensorList" in output
    about = read(tmp_path / "Recurrent", "export/model.json")
    assert about["differences"] == {"model.pb": 0.0, "saved_model": 0.0}


@needs_a_disk
def test_an_export_to_a_full_disk_leaves_nothing(digits, tmp_path):
    (tmp_path / "disk").mkdir()
    size = sum(path.stat().st_size for path in digits.rglob("*") if path.is_file()) + 150_000
    script = (
        f"mount -t tmpfs -o size={size} none {tmp_path}/disk && cp -r {digits} {tmp_path}/disk/run;"
        f"{sys.executable} main.py --export --result_dir={tmp_path}/disk/run; status=$?;"
        f"ls -a {tmp_path}/disk/run > {tmp_path}/left; exit $status"
    )
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert answer.returncode == 1 and answer.stderr.count("\n") == 1, answer.stderr
    assert "space" in answer.stderr.lower()
    assert "export" not in (tmp_path / "left").read_text()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_an_export_that_is_killed_leaves_the_older_one(digits, tmp_path, shell):
    run = Path(shutil.copytree(digits, tmp_path / "run"))
    assert shell("--export", f"--result_dir={run}", "--step=0")[0] == 0
    code = (
        "import os, signal, main; from serving import export;"
        "export.differences = lambda *rest: os.kill(os.getpid(), signal.SIGKILL);"
        f"main.main(['main.py', '--export', '--result_dir={run}'])"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True)
    assert answer.returncode == -signal.SIGKILL
    assert read(run, "export/model.json")["step"] == 0
    assert [path.name for path in run.glob(".export-*")] == [".export-new"]
    assert shell("--export", f"--result_dir={run}")[0] == 0
    assert read(run, "export/model.json")["step"] == 600 and not list(run.glob(".export-*"))

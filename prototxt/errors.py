"""The one error type a user sees as a single line with exit code 2."""


class InputError(ValueError):
    """What the user handed in is wrong; the message names the file, line, layer or blob.

    ``layer`` is the Caffe layer the message is about, when one is: whoever knows which file the
    layer came from adds the place with :func:`prototxt.text.locate`.
    """

    def __init__(self, message: str, layer: str | None = None) -> None:
        super().__init__(message)
        self.layer = layer

"""DataBuffer ↔ payload, and the typed manifest → a document; one module for each kind of data.

Pure: no I/O, no clock.

    buffers     a DataBuffer of any kind, with its metadata; what one call counted of them
    audio       AudioBuffer ↔ Audio: samples arrive in any format and leave as float32
    video       VideoFrame ↔ Video
    arrays      TensorBuffer, NumpyBuffer ↔ Tensor
    plain       TextBuffer, JsonData, BinaryBuffer, FileBuffer ↔ Text, Json, Binary, File
    control     ControlMessage ↔ Control
    manifest    PipelineManifest → document

What is large is copied once in each direction: protobuf hands out a field as new `bytes`, which the
payload's array is a view of; and it takes nothing but `bytes`, which an array is copied into unless
it is such a view still.
"""

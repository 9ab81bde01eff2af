"""Where the parts of a GGUF file lie: enough to break one on purpose, without any package."""
import dataclasses
import os
import struct

STRING, ARRAY = 8, 9
WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


@dataclasses.dataclass
class Layout:
    tensor_table: int  # offset of the first tensor's description
    data: int  # offset of the first tensor's bytes
    size: int  # of the file

    @property
    def weights(self):
        """Bytes of all tensors, with their padding."""
        return self.size - self.data


def read_layout(path):
    with open(path, "rb") as file:
        def number(code):
            return struct.unpack("<" + code, file.read(struct.calcsize(code)))[0]

        def skip_value(kind):
            if kind == STRING:
                file.seek(number("Q"), os.SEEK_CUR)
            elif kind == ARRAY:
                element, count = number("I"), number("Q")
                if element in WIDTHS:
                    file.seek(WIDTHS[element] * count, os.SEEK_CUR)
                else:
                    for _ in range(count):
                        skip_value(element)
            else:
                file.seek(WIDTHS[kind], os.SEEK_CUR)

        assert file.read(4) == b"GGUF" and number("I") in (2, 3), f"{path} is no GGUF v2 or v3"
        tensors, keys = number("Q"), number("Q")
        for _ in range(keys):
            skip_value(STRING)
            skip_value(number("I"))
        table = file.tell()
        for _ in range(tensors):
            skip_value(STRING)
            file.seek(8 * number("I") + 4 + 8, os.SEEK_CUR)  # extents, type, offset
        alignment = 32  # no file of ours says otherwise
        data = (file.tell() + alignment - 1) // alignment * alignment
        return Layout(table, data, os.fstat(file.fileno()).st_size)

"""A controller in the tick of a region, written as a Python class.

ebpfcat makes a BPF program of the class: there is no compiler, no libbpf and no C. The
class attributes of its map are variables of the program, which Python reads and sets
while the program runs. As root:

    pip install ebpfcat
    rtshm create motor --period 1ms --layout 'setpoint:i32 output:i32'
    python3 follow.py motor 1000
"""

import argparse
import enum
import time

import rtshm
from ebpfcat.arraymap import ArrayMap
from ebpfcat.ebpf import EBPF

ONE = 65536  # fixed point of the gain: 1.0


class Type(enum.Enum):
    """The type of program that a task has, which ebpfcat's own enum lacks."""

    RAW_TRACEPOINT_WRITABLE = 24


class Follow(EBPF):
    """In each tick, move the output towards the setpoint by a part of the distance."""

    license = "GPL"
    variables = ArrayMap()
    gain = variables.globalVar("q")
    ticks = variables.globalVar("Q")

    def __init__(self, layout):
        super().__init__(Type.RAW_TRACEPOINT_WRITABLE)
        self.offsets = {field.name: field.offset for field in layout.fields}
        self.load()

    def program(self):
        """Generate the instructions. sr: a register with a sign; mi: an i32 in memory."""
        setpoint, output = self.offsets["setpoint"], self.offsets["output"]
        # The first argument of a task is its record.
        self.r3 = self.mQ[self.r1]
        self.sr4 = self.mi[self.r3 + setpoint]
        self.sr5 = self.mi[self.r3 + output]
        self.sr4 -= self.sr5
        self.sr2 = self.gain
        self.sr4 *= self.sr2
        # To a register of 64 bits: stored to 32, ebpfcat would shift in 32.
        self.sr4 >>= 16
        self.sr5 += self.sr4
        self.mi[self.r3 + output] = self.sr5
        self.ticks += 1
        # By how many ns to shift the ticks to come.
        self.r0 = 0
        self.exit()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("region", help="a region with the fields setpoint and output, both i32")
    parser.add_argument("setpoint", type=int)
    options = parser.parse_args()
    with rtshm.open(options.region) as region:
        follow = Follow(region.layout)
        with rtshm.Task(region, follow, name="follow"):
            # The task holds the program.
            follow.close()
            follow.gain = ONE // 16
            region.update(setpoint=options.setpoint)
            time.sleep(1)
            print(f"{follow.ticks} ticks: output {region.read()['output']}")

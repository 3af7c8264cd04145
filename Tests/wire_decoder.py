#!/usr/bin/env python3
"""Decodes dictionary and frame payloads, written from docs/wire.md alone.

Usage: wire_decoder.py FILE. Lines of FILE: "D hex" a dictionary payload, "F hex" a frame payload,
"H sequence step delay key" the header that the frame must have, "V slot value..." the values that a
slot must have after it, "A slot id text-in-hex" an attribute that the subject in a slot must have.
Exits with 1 at the first difference; else prints how many values were compared.
"""
import sys

MASK = (1 << 64) - 1


def signed(v):
    v &= MASK
    return v - (1 << 64) if v >> 63 else v


def unzigzag(z):
    return signed((z >> 1) ^ -(z & 1))


def zigzag(v):
    v = signed(v)
    return ((v << 1) ^ (v >> 63)) & MASK


class Mean:
    """How large numbers were, in quarters of a bit; None before the first."""

    def __init__(self, m=None):
        self.m = m

    def learn(self, t):
        size = 4 * min(t.bit_length() - 1, 39)
        self.m = size if self.m is None else self.m + ((size - self.m + 2) >> 2)

    def parameter(self):
        return (self.m >> 2) + 1


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value = shift = 0
        while True:
            b = self.byte()
            value |= (b & 0x7F) << shift
            shift += 7
            if b < 0x80:
                assert value <= MASK
                return value

    def signed(self):
        return unzigzag(self.varint())

    def take(self, n):
        assert self.at + n <= len(self.data)
        self.at += n
        return self.data[self.at - n:self.at]


class Bits:
    def __init__(self, data):
        self.word, self.left = int.from_bytes(data, "little"), len(data) * 8

    def bits(self, n):
        assert n <= self.left
        value = self.word & ((1 << n) - 1)
        self.word >>= n
        self.left -= n
        return value

    def golomb(self, k):
        """A number, or None for an escape."""
        zeros = 0
        while zeros < 20 and not self.word >> zeros & 1:
            zeros += 1
        self.bits(zeros)
        if zeros == 20:
            return None
        self.bits(1)
        n = zeros + k
        return (1 << n) + self.bits(n) - (1 << k)


class State(Mean):
    """What was learnt of a column."""

    def copy(self):
        return State(self.m)

    def read(self, bits, positive, fresh, value, granularity):
        """A change, and whether it is raw."""
        if self.m is None:
            length = max(0, abs(value).bit_length() - (granularity.bit_length() - 1))
            k = 8 if fresh else min(length * 5 >> 3, 40)
        else:
            k = self.parameter()
        z = bits.golomb(k)
        if z is None:
            raw = bits.bits(1)
            v = unzigzag(bits.bits(bits.bits(6) + 1))
            if raw:
                return v, True
        else:
            v = signed(z + 1) if positive else signed(-unzigzag(z + 1))
        self.learn(v if positive and v > 0 else zigzag(-v))
        return v, False


class Group:
    def __init__(self):
        self.silent, self.length = Mean(12), State()


class Flags:
    def __init__(self):
        self.last = self.recent = self.earlier = 0

    def copy(self):
        f = Flags()
        f.last, f.recent, f.earlier = self.last, self.recent, self.earlier
        return f


class Schema:
    def __init__(self, r):
        self.fields, self.sums, self.parts = [], {}, {}
        metric, granularity = 0, 1
        for _ in range(r.varint()):
            h = r.varint()
            metric += unzigzag(h >> 2) + 1
            if not h & 2:
                granularity = r.varint()
            self.fields.append((metric, granularity, bool(h & 1)))
        column = -1
        for _ in range(r.varint()):
            p = r.varint()
            column += (p >> 1) + 1
            if p & 1:
                self.parts[column] = column - 1 - r.varint()
                continue
            terms = []
            for _ in range(r.varint()):
                t = r.varint()
                weight = (1, -1)[t & 3] if t & 3 < 2 else r.signed()
                terms.append((column - 1 - (t >> 2), weight))
            self.sums[column] = terms


class Subject:
    def __init__(self, number, schema, kind, parent, start, attributes):
        self.number, self.schema = number, schema
        self.kind, self.parent, self.start, self.attributes = kind, parent, start, attributes
        self.new = self.fresh = True
        self.values = [0] * len(schema.fields)
        self.states = [State() for _ in schema.fields]
        self.flags = [Flags() for _ in range((len(schema.fields) + 63) // 64)]


class Decoder:
    def __init__(self):
        self.schemas, self.slots, self.groups, self.header = {}, {}, {}, None

    # Dictionary.

    def dictionary(self, payload):
        r = Bytes(payload)
        last = None
        while r.at < len(payload):
            tag = r.byte()
            if tag == 0:
                number = r.varint()
                assert number not in self.schemas
                self.schemas[number] = Schema(r)
            elif tag == 2:
                del self.slots[r.varint()]
            elif tag in (1, 3):
                if tag == 1:
                    slot, number, kind, parent = r.varint(), r.varint(), r.byte(), r.varint()
                    start = r.signed()
                else:
                    slot, number = last[0] + 1, last[1].number
                    kind, parent = last[1].kind, last[1].parent
                    start = last[1].start + r.signed()
                attributes = self.attributes(r, last)
                assert slot not in self.slots
                subject = Subject(number, self.schemas[number], kind, parent, start, attributes)
                self.slots[slot] = subject
                last = (slot, subject)
            else:
                raise ValueError("dictionary change %d" % tag)

    def attributes(self, r, last):
        attributes = {}
        for _ in range(r.varint()):
            identifier, c = r.byte(), r.varint()
            raw = r.take(c >> 2)
            form = c & 3
            if form == 0:
                text = raw.decode("utf-8")
            elif form == 1:
                text = raw.hex()
            elif form == 2:
                h = raw.hex()
                text = "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))
            else:
                text = last[1].attributes[identifier]
            attributes[identifier] = text
        return attributes

    # Frames.

    def frame(self, payload):
        r = Bytes(payload)
        flags = r.byte()
        assert flags in (0, 2, 33)
        if flags == 33:
            sequence, time, delay, interval = r.varint(), r.signed(), r.signed(), 0
            self.index = 0
        else:
            old, old_time, old_delay, old_interval = self.header
            sequence = old + 1
            assert r.byte() == sequence & 0xFF
            error = r.signed() if flags & 2 else 0
            time = old_time + old_interval + error
            delay = old_delay + r.signed()
            interval = time - old_time
        self.key = flags == 33
        self.header = (sequence, time, delay, interval)
        self.delay = delay
        if self.key:
            self.groups = {}
        self.index += 1
        bits = Bits(payload[r.at:])
        self.models = {}
        numbers = sorted({slot >> 3 for slot in self.slots})
        for number in numbers:
            group = self.groups.setdefault(number, Group())
            length = None
            if not self.key and number != numbers[-1]:
                length, _ = group.length.read(bits, True, True, 0, 1)
            before = bits.left
            self.group(number, group, bits)
            assert length is None or before - bits.left == length
        assert bits.left < 8 and bits.word == 0
        for subject in self.slots.values():
            if subject.fresh:
                subject.states = [State() for _ in subject.states]
                subject.flags = [Flags() for _ in subject.flags]
                for column, value in enumerate(subject.values):
                    if value:
                        subject.flags[column // 64].recent |= 1 << column % 64
                subject.new = False

    def group(self, number, group, bits):
        members = [self.slots[slot] for slot in sorted(self.slots) if slot >> 3 == number]
        if not self.key:
            self.models = {}
        for subject in members:
            subject.fresh = self.key or subject.new
            subject.model = None
            if subject.fresh:
                subject.model = self.models.get(subject.number)
                self.models[subject.number] = subject
        self.read_flags(members, group, bits)
        for subject in members:
            self.read_changes(subject, bits)

    def read_flags(self, members, group, bits):
        columns = 0
        left = bits.golomb(0)
        next_silent = None

        def silent_distance():
            distance = bits.golomb(group.silent.parameter())
            group.silent.learn(distance + 1)
            return distance

        if left:
            next_silent = silent_distance()
        for subject in members:
            if subject.fresh:
                subject.flags = (
                    [f.copy() for f in subject.model.flags] if subject.model
                    else [Flags() for _ in subject.flags])
            for word, f in enumerate(subject.flags):
                width = min(64, len(subject.values) - 64 * word)
                active = f.recent | f.earlier
                flags = 0
                for column in range(width):
                    if active >> column & 1:
                        flags |= bits.bits(1) << column
                while left and next_silent < columns + width:
                    bit = 1 << next_silent - columns
                    assert not bit & active
                    flags |= bit
                    left -= 1
                    if left:
                        next_silent += 1 + silent_distance()
                columns += width
                f.last = flags
                f.recent |= flags
                if self.index % 8 == 0:
                    f.earlier, f.recent = f.recent, 0
        assert not left

    def read_changes(self, subject, bits):
        schema = subject.schema
        if subject.fresh:
            model = subject.model
            subject.values = list(model.values) if model else [0] * len(schema.fields)
            subject.states = (
                [s.copy() for s in model.states] if model else [State() for _ in schema.fields])
        d = [0] * len(schema.fields)
        for column, (_, granularity, counter) in enumerate(schema.fields):
            flagged = subject.flags[column // 64].last >> column % 64 & 1
            terms = schema.sums.get(column)
            if not flagged and not (terms and any(d[t] for t, _ in terms)):
                continue
            units = signed(sum(w * d[t] for t, w in terms)) if terms else 0
            if flagged:
                whole = schema.parts.get(column)
                if whole is not None and d[whole] and bits.bits(1):
                    units = d[whole]
                else:
                    positive = counter and not terms and not subject.fresh
                    v, raw = subject.states[column].read(
                        bits, positive, subject.fresh, subject.values[column], granularity)
                    if raw:
                        subject.values[column] = signed(subject.values[column] + v)
                        continue
                    units = signed(units + v)
            d[column] = units
            subject.values[column] = signed(subject.values[column] + units * granularity)


def main():
    decoder, compared = Decoder(), 0
    for number, line in enumerate(open(sys.argv[1]), 1):
        kind, _, rest = line.rstrip("\n").partition(" ")
        words = rest.split(" ")
        if kind == "D":
            decoder.dictionary(bytes.fromhex(rest))
        elif kind == "F":
            decoder.frame(bytes.fromhex(rest))
        elif kind == "H":
            got = (*decoder.header[:2], decoder.delay, int(decoder.key))
            if got != tuple(map(int, words)):
                sys.exit("line %d: header is %s, not %s" % (number, got, rest))
        elif kind == "V":
            got = decoder.slots[int(words[0])].values
            if got != list(map(int, words[1:])):
                sys.exit("line %d: slot %s has %s, not %s" % (number, words[0], got, words[1:]))
            compared += len(got)
        elif kind == "A":
            got = decoder.slots[int(words[0])].attributes.get(int(words[1]))
            if got != bytes.fromhex(words[2]).decode("utf-8"):
                sys.exit("line %d: attribute is %s" % (number, got))
            compared += 1
    print(compared)


if __name__ == "__main__":
    main()

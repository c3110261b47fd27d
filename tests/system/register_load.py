"""register_load.py STOPFILE SEED HOST...: raw clients that use a few keys as registers while nodes
are being killed, and then judge what they saw.

Keys k0-k3 count: read, then put one more if what was read still stands. Keys u0-u99 take values that
are written once each. Until STOPFILE is there; then, at every host: a counter is at least the number
of increments that were acknowledged, at most that and those whose outcome is not known, and no
increment was acknowledged twice; a key holds its last acknowledged value, one tried after it, or one
whose outcome was not known. A client that reads a counter never sees it go back. Exit status 1, with
words, when not."""
import os
import random
import socket
import struct
import sys
import threading
import time

WORKERS, COUNTERS, VALUES = 4, 4, 100


def pack(value):
    if value is True:
        return b'\xc3'
    if isinstance(value, int):
        return b'\xce' + struct.pack('>I', value)
    if isinstance(value, str):
        value = value.encode()
        return b'\xdb' + struct.pack('>I', len(value)) + value
    if isinstance(value, bytes):
        return b'\xc6' + struct.pack('>I', len(value)) + value
    if isinstance(value, list):
        return b'\xdc' + struct.pack('>H', len(value)) + b''.join(map(pack, value))
    return b'\xde' + struct.pack('>H', len(value)) + b''.join(
        pack(k) + pack(v) for k, v in value.items())


NUMBERS = {0xcc: '>B', 0xcd: '>H', 0xce: '>I', 0xcf: '>Q', 0xd0: '>b', 0xd1: '>h', 0xd2: '>i',
           0xd3: '>q', 0xca: '>f', 0xcb: '>d'}
SIZES = {0xc4: '>B', 0xd9: '>B', 0xc5: '>H', 0xda: '>H', 0xdc: '>H', 0xde: '>H', 0xc6: '>I',
         0xdb: '>I', 0xdd: '>I', 0xdf: '>I'}


def unpack(stream):
    def read(size):
        data = stream.read(size)
        if len(data) < size:
            raise ConnectionError('closed')
        return data

    def number(form):
        return struct.unpack(form, read(struct.calcsize(form)))[0]
    first = read(1)[0]
    if first < 0x80:
        return first
    if first >= 0xe0:
        return first - 256
    if first in (0xc0, 0xc2, 0xc3):
        return {0xc0: None, 0xc2: False, 0xc3: True}[first]
    if first in NUMBERS:
        return number(NUMBERS[first])
    if first < 0xc0:
        kind, size = (0xde, first & 15) if first < 0x90 else (
            (0xdc, first & 15) if first < 0xa0 else (0xd9, first & 31))
    else:
        kind, size = first, number(SIZES[first])
    if kind in (0xde, 0xdf):
        return {unpack(stream): unpack(stream) for _ in range(size)}
    if kind in (0xdc, 0xdd):
        return [unpack(stream) for _ in range(size)]
    data = read(size)
    return data if kind in (0xc4, 0xc5, 0xc6) else data.decode('latin1')


class Client:
    def __init__(self, host):
        self.socket = socket.create_connection((host, 3001), timeout=8)
        self.stream = self.socket.makefile('rb')

    def call(self, method, *params):
        """The result, or None and the status of the error."""
        self.socket.sendall(pack([0, 1, method, list(params)]))
        _, _, error, result = unpack(self.stream)
        return (None, error['status']) if error else (result, None)


def as_bytes(value):
    return value if isinstance(value, bytes) else (value or '').encode('latin1')


class Load:
    def __init__(self, stop_file, seed, hosts, pause=0):
        self.stop_file, self.seed, self.hosts, self.pause = stop_file, seed, hosts, pause
        self.lock = threading.Lock()
        self.increments = {}  # (key, value) -> how often acknowledged
        self.unknown = {}     # key -> increments whose outcome is not known
        self.tried = {}       # key -> values in the order of their attempts
        self.kept = {}        # key -> index in tried of the last acknowledged
        self.late = {}        # key -> values whose outcome is not known: they may come late
        self.outcomes, self.slowest, self.wrong = {}, 0.0, []

    def count(self, client, key, seen):
        got, status = client.call('CoordinateGet', key, {})
        if status or got['sloppy']:
            return 'get ' + (status or 'sloppy')
        value = int(as_bytes(got['value'])) if got['found'] else 0
        if value < seen.get(key, 0):
            self.wrong.append('%s went back from %d to %d' % (key, seen[key], value))
        seen[key] = value
        condition = {'if_match': got['context']} if got['found'] else {'if_absent': True}
        with self.lock:
            self.unknown[key] = self.unknown.get(key, 0) + 1
        result, status = client.call('CoordinatePut', key, b'%d' % (value + 1), condition)
        outcome = status or result['outcome']
        with self.lock:
            if outcome != 'INDETERMINATE':
                self.unknown[key] -= 1
            if outcome == 'OK':
                seen[key] = value + 1
                name = (key, value + 1)
                self.increments[name] = self.increments.get(name, 0) + 1
        return outcome

    def put(self, client, key, value):
        tried = self.tried.setdefault(key, [])
        tried.append(value)
        late = self.late.setdefault(key, set())
        late.add(value)
        result, status = client.call('CoordinatePut', key, value, {})
        outcome = status or result['outcome']
        if outcome in ('OK', 'NOT-APPLIED', 'CONFLICT'):
            late.remove(value)
        if outcome == 'OK':
            self.kept[key] = len(tried) - 1
        return outcome

    def work(self, worker):
        chance = random.Random(self.seed * WORKERS + worker)
        client, seen, number = None, {}, 0
        while not os.path.exists(self.stop_file):
            begin, number = time.time(), number + 1
            try:
                client = client or Client(chance.choice(self.hosts))
                if number % 2:
                    outcome = self.count(client, 'k%d' % chance.randrange(COUNTERS), seen)
                else:  # a key has one writer, so that its last value is known
                    key = 'u%d' % (chance.randrange(VALUES // WORKERS) * WORKERS + worker)
                    outcome = self.put(client, key, b'%d.%d' % (worker, number))
            except (OSError, ConnectionError):
                client, outcome = None, 'no connection'
            if outcome not in ('OK', 'CONFLICT'):
                client = None
                time.sleep(0.05)
            with self.lock:
                self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
                self.slowest = max(self.slowest, time.time() - begin)
            time.sleep(self.pause)

    def read(self, client, key):
        for _ in range(20):
            got, status = client.call('CoordinateGet', key, {})
            if not status:
                return [as_bytes(got['value'])] + [as_bytes(s['value']) for s in got['siblings']]
            time.sleep(0.5)
        self.wrong.append('%s cannot be read: %s' % (key, status))
        return [b'']

    def judge(self, host):
        client = Client(host)
        for key, tried in self.tried.items():
            allowed = set(tried[self.kept.get(key, 0):]) | self.late[key]
            if key in self.kept and not set(self.read(client, key)) & allowed:
                self.wrong.append('%s: the last value acknowledged of %s is lost' % (host, key))
        for number in range(COUNTERS):
            key = 'k%d' % number
            mine = [value for name, value in self.increments if name == key]
            value = int(self.read(client, key)[0] or b'0')
            if not max(len(mine), max(mine, default=0)) <= value <= (
                    len(mine) + self.unknown.get(key, 0)):
                self.wrong.append('%s: %s is %d after %d increments and %d that may be' % (
                    host, key, value, len(mine), self.unknown.get(key, 0)))

    def run(self):
        threads = [threading.Thread(target=self.work, args=(w,)) for w in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for host in self.hosts:
            self.judge(host)
        for (key, value), times in self.increments.items():
            if times > 1:
                self.wrong.append('%s: %d clients won %d' % (key, times, value))
        print(self.outcomes, 'slowest: %.0f ms' % (self.slowest * 1000))
        for words in self.wrong[:20]:
            print('WRONG:', words)
        return 1 if self.wrong or not self.increments else 0


if __name__ == '__main__':
    sys.exit(Load(sys.argv[1], int(sys.argv[2]), sys.argv[3:]).run())

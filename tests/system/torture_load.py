"""torture_load.py STRICT SEED SECONDS DIRECTORY HOST...: clients and programs that use a cluster
while it is tortured (torture.sh), and then judge what they saw.

DIRECTORY holds the mounts ma and mb, for each a file NAME.gen whose number is odd while the mount is
being killed and made again; once all is over the file stop, and once all is quiet the file quiet.
HOSTs are where raw clients call.

- Values: a key has one writer, raw or through a mount, which writes number after number, and now
  and then removes the key. Anybody reads: whole or not at all, never older than what was
  acknowledged before the read began, never older than what this reader has seen.
- Large files, replaced by rename: the same.
- Lines appended by many to one file: those acknowledged are there once, the others at most once.
- Names that many create at once, with O_EXCL, mkdir and if-absent puts: one winner.
- Counters of register_load.py: no increment is lost, none is made twice.
Afterwards every key is read at every node and in every mount, and every owner of every key shows the
same version. With STRICT 0 a put may have been sloppy: then a read may be old until all is quiet, and
a value may stand among siblings.

Prints what was acknowledged and what is lost. Exit status 1, with words, when anything is wrong."""
import hashlib
import json
import os
import random
import sys
import threading
import time

from register_load import Client, Load, as_bytes

VALUES, LARGE, LARGE_SIZE, LARGE_PUTS, LINES, NAMES = 24, 4, 200000, 60, 250, 150


def content(key, number, size):
    """Tells its key and number, and whether it is whole."""
    head = b'%s %d ' % (key.encode(), number)
    body = hashlib.sha256(head).hexdigest().encode()
    return head + (body * (size // len(body) + 1))[:size]


def number_in(key, data, size):
    """The number, or None: not a content of this key."""
    words = data.split(b' ', 2)
    if len(words) != 3 or words[0] != key.encode() or not words[1].isdigit():
        return None
    return int(words[1]) if data == content(key, int(words[1]), size) else None


class Raw:
    """One connection to some node; another one after each failure."""

    def __init__(self, hosts, chance):
        self.hosts, self.chance, self.client = hosts, chance, None

    def call(self, method, *params):
        try:
            self.client = self.client or Client(self.chance.choice(self.hosts))
            result, status = self.client.call(method, *params)
        except (OSError, ConnectionError):
            result, status = None, 'no connection'
        if status:
            self.client = None
        return result, status

    def outcome(self, method, *params):
        """True done, False certainly not, None: may be, now or later."""
        result, status = self.call(method, *params)
        if status or result['outcome'] == 'INDETERMINATE':
            return None
        return result['outcome'] == 'OK'

    def write(self, key, data):
        return self.outcome('CoordinatePut', key, data, {})

    def create(self, key, data):
        return self.outcome('CoordinatePut', key, data, {'if_absent': True})

    def remove(self, key):
        return self.outcome('CoordinateDelete', key, {})

    def read(self, key):
        """All that stands there, best first; [] nothing, None: could not ask, or may be old."""
        got, status = self.call('CoordinateGet', key, {})
        if status == 'TOO-LARGE' or status or got['sloppy']:
            return None
        return [as_bytes(got['value'])] + [as_bytes(s['value']) for s in got['siblings']] \
            if got['found'] else []


class Mount:
    """Files of one mount. What happens while it is away proves nothing. What fails is not known."""

    def __init__(self, directory, name):
        self.root, self.gen = os.path.join(directory, name), os.path.join(directory, name + '.gen')

    def path(self, key):
        return os.path.join(self.root, key)

    def generation(self):
        with open(self.gen) as file:
            return int(file.read() or 1)

    def guarded(self, work):
        """What work gives; None where an OSError came or the mount was away."""
        before = self.generation()
        if before % 2:
            time.sleep(0.1)
            return None
        try:
            result = work()
        except FileNotFoundError:
            result = []
        except OSError:
            return None
        return result if self.generation() == before else None

    def put(self, key, data, flags=os.O_TRUNC, sync=False):
        fd = os.open(self.path(key), os.O_WRONLY | os.O_CREAT | flags, 0o644)
        try:
            at = 0
            while at < len(data):
                at += os.write(fd, data[at:])
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        return True

    def write(self, key, data):
        return self.guarded(lambda: self.put(key, data)) is True or None

    def append(self, key, data):
        return self.guarded(lambda: self.put(key, data, os.O_APPEND)) is True or None

    def replace(self, key, data):
        def work():
            self.put(key + '.new', data, sync=True)
            os.rename(self.path(key + '.new'), self.path(key))
            return True
        return self.guarded(work) is True or None

    def create(self, key, data):
        return self.guarded(lambda: self.put(key, data, os.O_EXCL)) is True or None

    def mkdir(self, key):
        return self.guarded(lambda: os.mkdir(self.path(key)) is None) is True or None

    def remove(self, key):
        return self.guarded(lambda: os.unlink(self.path(key)) is None) is True or None

    def whole(self, key):
        with open(self.path(key), 'rb', buffering=0) as file:
            data = b''
            while part := file.read(1 << 20):
                data += part
            return data

    def read(self, key):
        return self.guarded(lambda: [self.whole(key)])

    def read_siblings(self, key):
        """What stands beside it since a split."""
        directory = os.path.join('.toystore/conflicts', key)
        return self.guarded(lambda: [self.whole(os.path.join(directory, name))
                                     for name in os.listdir(self.path(directory))])


class Key:
    """What its one writer did. Numbers count up; acknowledged: the last one.

    A put whose outcome is not known may come late, on top of newer ones: a paused node goes on with
    it. But only once: not again after a put that began when it had been seen."""

    def __init__(self, name, size, files=False):
        self.name, self.size, self.lock = name, size, threading.Lock()
        self.files = files  # written as a file: one that was removed may begin empty
        self.tried, self.acknowledged, self.removals = 0, 0, set()
        self.unknown, self.never = {}, set()  # number -> tried when it was seen first, or None

    def begin(self, removes):
        with self.lock:
            if removes:
                self.removals.add(self.tried + 1)
            self.unknown[self.tried + 1] = None
            self.tried += 1
            return self.tried

    def end(self, number, done):
        with self.lock:
            if done is not None:
                del self.unknown[number]
            if done:
                self.acknowledged = number
            elif done is False:
                self.never.add(number)

    def late(self, number, floor):
        """May it be seen although `floor` was acknowledged or seen?"""
        return number in self.unknown and (
            self.unknown[number] is None or self.unknown[number] >= floor)

    def seen(self, values, floor):
        """What was read, as the number to know from now on; or words that say what is wrong."""
        with self.lock:
            if not values or (self.files and values[0] == b''):
                fitting = [n for n in self.removals - self.never | {0}
                           if n >= floor or self.late(n, floor)]
                return max(min(fitting), floor) if fitting else '%s: not found after %d' % (
                    self.name, floor)
            number = number_in(self.name, values[0], self.size)
            if number is None:
                return '%s: %d bytes that nobody wrote: %s' % (
                    self.name, len(values[0]), values[0][:60])
            if number > self.tried or number in self.removals | self.never:
                return '%s: number %d was never put' % (self.name, number)
            if number < floor and not self.late(number, floor):
                return '%s: read %d after %d' % (self.name, number, floor)
            if self.unknown.get(number, 0) is None:
                self.unknown[number] = self.tried
            return max(number, floor)


class Torture:
    def __init__(self, strict, seed, seconds, directory, hosts):
        self.strict, self.seed, self.seconds = strict, seed, seconds
        self.directory, self.hosts = directory, hosts
        self.mounts = [Mount(directory, 'ma'), Mount(directory, 'mb')]
        self.values = [Key('t/v%d' % n, 20 + 60 * (n % 5) ** 3, n % 3 > 0)
                       for n in range(VALUES)]
        self.large = [Key('t/large%d' % n, LARGE_SIZE) for n in range(LARGE)]
        self.lines = {}    # line -> acknowledged
        self.winners = {}  # name -> who was told that it won
        self.lock, self.counts, self.wrong = threading.Lock(), {}, []
        self.registers = Load(os.path.join(directory, 'stop'), seed, hosts, 0.01)

    def stopped(self):
        return os.path.exists(os.path.join(self.directory, 'stop'))

    def pause(self, count):
        """So that `count` of something are spread over the time."""
        time.sleep(max(0.05, 0.7 * self.seconds / count))

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def say(self, words):
        with self.lock:
            self.wrong.append(words)

    # ---- those who work ----

    def write_values(self, name, keys, place, chance):
        while not self.stopped():
            key = chance.choice(keys)
            removes = chance.random() < 0.1
            number = key.begin(removes)
            done = place.remove(key.name) if removes else place.write(
                key.name, content(key.name, number, key.size))
            key.end(number, done)
            self.count(name + (' removes' if removes else ' puts') if done else name + ' failed')
            time.sleep(0.01 if done else 0.05)

    def write_large(self, keys, mount, chance):
        for _ in range(LARGE_PUTS):
            if self.stopped():
                break
            key = chance.choice(keys)
            number = key.begin(False)
            done = mount.replace(key.name, content(key.name, number, key.size))
            key.end(number, done)
            self.count('large files' if done else 'large failed')
            self.pause(LARGE_PUTS)

    def read_values(self, name, place, keys, chance):
        seen = {}
        while not self.stopped():
            key = chance.choice(keys)
            floor = max(key.acknowledged, seen.get(key.name, 0))
            values = place.read(key.name)
            if values is None:
                self.count(name + ' reads failed')
                time.sleep(0.05)
                continue
            got = key.seen(values, floor if self.strict else 0)
            if isinstance(got, str):
                self.say('%s %s' % (name, got))
            else:
                seen[key.name] = got
            self.count(name + ' reads')
            time.sleep(0.008)

    def append_lines(self, worker, mount):
        for number in range(LINES):
            if self.stopped():
                break
            line = '%s.%d' % (worker, number)
            self.lines[line] = False
            self.lines[line] = bool(mount.append('t/lines', line.encode() + b'\n'))
            self.count('lines' if self.lines[line] else 'lines failed')
            self.pause(LINES)

    def create_names(self, worker, place):
        for number in range(NAMES):
            if self.stopped():
                break
            name = 't/name%d' % number
            directory = number % 3 == 2
            if directory and not isinstance(place, Mount):
                continue
            won = place.mkdir(name) if directory else place.create(name, worker.encode())
            if won:
                with self.lock:
                    self.winners.setdefault(name, []).append(worker)
            self.count('names won' if won else 'names not won')
            self.pause(NAMES)

    def workers(self):
        """Each with its own chance, drawn before any of them runs."""
        chances = (random.Random(self.seed * 100 + n) for n in range(100))
        ma, mb = self.mounts

        def values(name, keys, place=None):
            place = place or Raw(self.hosts, next(chances))
            chance = next(chances)
            return lambda: self.write_values(name, keys, place, chance)

        def reads(name, keys, place=None):
            place = place or Raw(self.hosts, next(chances))
            chance = next(chances)
            return lambda: self.read_values(name, place, keys, chance)

        def large(chance):
            return lambda: self.write_large(self.large, mb, chance)
        yield values('raw', self.values[0::3])
        yield values('mount a', self.values[1::3], ma)
        yield values('mount b', self.values[2::3], mb)
        yield large(next(chances))
        yield reads('raw', self.values)
        for name, mount in (('mount a', ma), ('mount b', mb)):
            yield reads(name, self.values + self.large, mount)
            yield lambda n=name, m=mount: self.append_lines(n[-1] + '1', m)
            yield lambda n=name, m=mount: self.append_lines(n[-1] + '2', m)
            yield lambda n=name, m=mount: self.create_names(n[-1], m)
        yield lambda place=Raw(self.hosts, next(chances)): self.create_names('raw', place)
        for worker in range(2):
            yield lambda w=worker: self.registers.work(w)

    # ---- those who judge ----

    def settle(self, place, key, read=None):
        for _ in range(40):
            values = (read or place.read)(key)
            if values is not None:
                return values
            time.sleep(0.5)
        self.say('%s cannot be read' % key)
        return None

    def judge_values(self, name, place, keys):
        lost = 0
        for key in keys:
            values = self.settle(place, key.name)
            if values is None:
                continue
            found = [key.seen([value], key.acknowledged) for value in values] or [
                key.seen([], key.acknowledged)]
            good = [got for got in found if not isinstance(got, str)]
            if not good or (self.strict and len(found) > 1):
                self.say('%s, at the end: %s' % (name, found[0]))
                lost += not good
        return lost

    def judge_lines(self, name, place):
        """Each in one of the versions: after a split there may be several, side by side."""
        values = (self.settle(place, 't/lines') or []) + (
            self.settle(place, 't/lines', place.read_siblings) or [])
        lost, found = 0, [v.decode().split() for v in values or [b'']]
        there = set().union(*found)
        for line in sorted(line for line, done in self.lines.items() if done and line not in there):
            self.say('%s: the line %s is lost' % (name, line))
            lost += 1
        for lines in found:
            for line in there - set(self.lines) | {x for x in lines if lines.count(x) > 1}:
                self.say('%s: the line %s is there %d times' % (name, line, lines.count(line)))
        return lost

    def judge_names(self, mount):
        lost = 0
        for name, winners in self.winners.items():
            if len(winners) > 1:
                self.say('%s was won by %s' % (name, winners))
            if os.path.isdir(mount.path(name)):
                continue
            values = self.settle(mount, name)
            if values != [winners[0].encode()]:
                self.say('%s: %s of %s is %s' % (mount.root, name, winners, values))
                lost += 1
        return lost

    def replicas(self, client, key):
        """Words: what is not well with the copies of a key; None: all show the same."""
        got, status = client.call('Report', 'stat', key)
        if status:
            return status
        copies = json.loads(as_bytes(got[1]))['replicas']
        if any(copy['status'] != 'OK' for copy in copies):
            return str([(copy['node'], copy['status']) for copy in copies])
        shown = {(copy['node'], copy.get('ballot'), tuple(
            (v['op'], v['value_hash']) for v in copy['versions'] if v['place'] != 'covered')) for copy in copies}
        return None if len({s[1:] for s in shown}) == 1 else str(sorted(shown, key=str))

    def judge_replicas(self, names):
        client, wrong, end = Client(self.hosts[0]), {}, time.time() + 60
        while names and time.time() < end:
            wrong = {name: words for name in names if (words := self.replicas(client, name))}
            names = list(wrong)
            time.sleep(1 if names else 0)
        for name, words in list(wrong.items())[:10] if names else []:
            self.say('%s: its replicas differ: %s' % (name, words))
        return len(names)

    def run(self):
        threads = [threading.Thread(target=work) for work in self.workers()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        while not os.path.exists(os.path.join(self.directory, 'quiet')):
            time.sleep(0.05)
        with open(os.path.join(self.directory, 'quiet')) as hosts:  # who came later
            self.hosts += hosts.read().split()
        acknowledged = sum(n for what, n in self.counts.items() if 'fail' not in what
                           and 'not' not in what) + self.registers.outcomes.get('OK', 0)
        lost = 0
        for host in self.hosts:
            raw = Raw([host], random.Random(0))
            lost += self.judge_values(host, raw, self.values)
            self.registers.judge(host)
        for mount in self.mounts:
            lost += self.judge_values(mount.root, mount, self.values + self.large)
            lost += self.judge_names(mount)
            lost += self.judge_lines(mount.root, mount)
        names = [key.name for key in self.values + self.large] + list(self.winners) + ['t/lines', 't']
        lost += self.judge_replicas(names + list(self.registers.tried))
        for (key, value), times in self.registers.increments.items():
            if times > 1:
                self.say('%s: %d clients won %d' % (key, times, value))
        wrong = self.wrong + self.registers.wrong
        print(json.dumps(self.counts), self.registers.outcomes)
        print('%d operations acknowledged, %d lost, %d wrong' % (acknowledged, lost, len(wrong)))
        for words in wrong[:20]:
            print('WRONG:', words)
        missing = [w for w in ('raw puts', 'mount a puts', 'mount b puts', 'raw reads',
                               'mount a reads', 'large files', 'lines', 'names won')
                   if not self.counts.get(w)]
        if missing:
            print('WRONG: nothing done:', missing)
        return 1 if wrong or lost or missing else 0


if __name__ == '__main__':
    sys.exit(Torture(sys.argv[1] == '1', int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:5],
                     sys.argv[5:]).run())

"""power_loss.py SEED DIRECTORY...: what a power loss leaves of data directories whose nodes ran with
faults.c and FAULTS_POWER, and were killed: of each file what was synced, and by chance some of what
came after it, torn, with a piece of garbage at its end. A file that was never synced may be gone."""
import os
import random
import sys


def lose(path, chance):
    size = os.path.getsize(path)
    try:
        synced = min(int(os.getxattr(path, 'user.synced')), size)
    except OSError:
        synced = None
    if synced is None and chance.random() < 0.5:
        os.unlink(path)
        return 1
    kept = chance.randint(synced or 0, size) if chance.random() < 0.5 else synced or 0
    if kept == size:
        return 0
    os.truncate(path, kept)
    if chance.random() < 0.3:
        with open(path, 'ab') as file:  # blocks that were given to the file and never written
            file.write(bytes(chance.randrange(256) if chance.random() < 0.5 else 0
                             for _ in range(chance.randint(1, size - kept))))
    return 1


def main():
    chance, lost = random.Random(sys.argv[1]), 0
    for directory in sys.argv[2:]:
        for root, _, names in os.walk(directory):
            for name in sorted(names):
                lost += lose(os.path.join(root, name), chance)
    print('%d files lost something' % lost)


main()

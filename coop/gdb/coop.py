"""gdb commands for programs that run on coop: the tree of tasks, and the backtraces of tasks that wait.

    (gdb) source coop/gdb/coop.py
    (gdb) coop tasks              the tree: name, number, state, what each waits for and where, stack
    (gdb) coop bt 5               the backtrace of task #5
    (gdb) coop bt 2.5             the same, of the second of several Cooperators
    (gdb) coop bt all             everybody's
    (gdb) coop select 5           frame commands (up, info locals) look at task #5; without a number, at the thread again
    (gdb) coop core FILE          what `gcore` does, with the stacks that `gcore` leaves out

They work in a live process and in a core, and need neither debug information nor symbols for the tree (backtraces name functions
by the program's symbols). They call nothing in the process and change nothing in it, so it may be stopped anywhere.

What is read here is described in coop/src/debugger.rs.
"""

import re
import struct

import gdb
from gdb.unwinder import Unwinder

MAGIC = b"coop debug map 3"

# As in `struct Map` of coop/src/debugger.rs, in the same order.
FIELDS = """
    size
    cooperator_running cooperator_root cooperator_id
    task_fiber task_node task_id task_name task_stack task_spawned_at
    fiber_context fiber_state fiber_is_killed fiber_place fiber_reason_verb fiber_reason_detail
    node_sibling node_kind node_task node_inner node_children
    family_first cooperator_siblings sibling_size sibling_next sibling_who
    stack_begin stack_class
    state_active state_parked state_parked_killable state_ended
    kind_scope kind_deadline kind_shield
    entry_cooperator entry_thread entry_next
    text_pointer text_length place_pointer place_length place_line place_column
""".split()

UNKNOWN = 0xFFFFFFFF

# Longer texts and larger trees than these are garbage.
LONGEST_TEXT = 4096
MOST_TASKS = 10_000_000


def read(address, length):
    """Bytes of the process; raises gdb.MemoryError where there are none."""
    return bytes(gdb.selected_inferior().read_memory(address, length))


def number(address, size=8):
    return int.from_bytes(read(address, size), "little")


def signed(value):
    """For gdb, which takes no address above the middle as a positive number."""
    return value - (1 << 64) if value >> 63 else value


class Map:
    """One `struct Map`: each version of coop that is linked into the process has its own."""

    def __init__(self, address):
        raw = read(address, 16 + 4 * len(FIELDS))
        self.__dict__.update(zip(FIELDS, struct.unpack_from("<%dI" % len(FIELDS), raw, 16)))
        # The last field, a pointer, ends the struct.
        self.first = number(address + self.size - 8)

    def text(self, address):
        """A `&str` that stands at `address`."""
        if UNKNOWN in (self.text_pointer, self.text_length):
            return "?"
        return self.characters(number(address + self.text_pointer), number(address + self.text_length))

    @staticmethod
    def characters(pointer, length):
        if length > LONGEST_TEXT:
            return "?"
        try:
            return read(pointer, length).rstrip(b"\0").decode(errors="replace")
        except gdb.MemoryError:
            # In a core texts stand in the program, which must then be given to gdb.
            return "?"

    def place(self, address):
        """A `&Location` that stands at `address`, as file:line:column."""
        if UNKNOWN in (self.place_pointer, self.place_length, self.place_line, self.place_column):
            return "?"
        at = number(address)
        try:
            name = self.characters(number(at + self.place_pointer), number(at + self.place_length))
            line, column = number(at + self.place_line, 4), number(at + self.place_column, 4)
        except gdb.MemoryError:
            return "?"
        return "%s:%d:%d" % (name, line, column)

    def cooperators(self):
        entry, seen = self.first, set()
        while entry and entry not in seen:
            seen.add(entry)
            cooperator = number(entry + self.entry_cooperator)
            if cooperator:
                yield Cooperator(self, cooperator, number(entry + self.entry_thread, 4))
            entry = number(entry + self.entry_next)


class Cooperator:
    def __init__(self, map, address, thread):
        self.map = map
        self.address = address
        self.thread = thread
        self.id = number(address + map.cooperator_id)
        self.running = number(address + map.cooperator_running)

    def gdb_thread(self):
        for thread in gdb.selected_inferior().threads():
            if self.thread in thread.ptid:
                return thread
        return None

    def tasks(self):
        """Every task with its depth, a parent before its children, children in the order they were spawned."""
        root = number(self.address + self.map.cooperator_root)
        stack = [(root, 0)] if root else []
        seen = set()
        while stack and len(seen) < MOST_TASKS:
            address, depth = stack.pop()
            if address in seen:
                continue
            seen.add(address)
            task = Task(self, address)
            if task.id == 0:
                # No task has this number. Records stand on the stacks.
                raise gdb.GdbError(
                    "The stacks of tasks are not in this core: gdb's `gcore` leaves out what has guard pages. "
                    "`coop core FILE` writes them, and so does the kernel."
                )
            yield task, depth
            stack.extend((child, depth + 1) for child in reversed(task.children()))


class Task:
    def __init__(self, cooperator, address):
        self.cooperator = cooperator
        self.map = map = cooperator.map
        self.address = address
        self.fiber = address + map.task_fiber
        self.id = number(address + map.task_id)
        self.name = map.text(address + map.task_name)
        self.state = number(self.fiber + map.fiber_state, 1)

    def frames(self):
        """The nodes on the task's stack, outermost first: itself, then its scopes, deadlines and shields."""
        node, seen = self.address + self.map.task_node, set()
        while node and node not in seen:
            seen.add(node)
            yield node
            node = number(node + self.map.node_inner)

    def children(self):
        found = []
        places = number(self.cooperator.address + self.map.cooperator_siblings)
        for node in self.frames():
            child = number(node + self.map.node_children + self.map.family_first, 4)
            while child and len(found) < MOST_TASKS:
                place = places + child * self.map.sibling_size
                who = number(place + self.map.sibling_who)
                found.append(number(who - self.map.node_sibling + self.map.node_task))
                child = number(place + self.map.sibling_next, 4)
        return found

    def context(self):
        """Where it goes on: rip, rsp, rbx, rbp."""
        return struct.unpack("<4Q", read(self.fiber + self.map.fiber_context, 32))

    def is_parked(self):
        return self.state in (self.map.state_parked, self.map.state_parked_killable)

    def is_running(self):
        return self.fiber == self.cooperator.running

    def can_go_on(self):
        return self.is_parked() or (self.state == self.map.state_active and not self.is_running())

    def stack(self):
        """Top and size of its stack, or None."""
        begin = number(self.address + self.map.task_stack + self.map.stack_begin)
        if not begin:
            return None
        return (begin + 4095) & ~4095, 1 << (number(self.address + self.map.task_stack + self.map.stack_class) & 63)

    def stack_pointer(self):
        if not self.is_running():
            return self.context()[1]
        thread = self.cooperator.gdb_thread()
        if thread is None:
            return None
        selected = gdb.selected_thread()
        thread.switch()
        try:
            return int(gdb.newest_frame().read_register("rsp")) & (1 << 64) - 1
        finally:
            if selected is not None:
                selected.switch()

    def waits_for(self):
        reason = self.map.text(self.fiber + self.map.fiber_reason_verb)
        detail = self.fiber + self.map.fiber_reason_detail
        tag = number(detail, 4)
        if tag == 1:
            reason += " on fd %d" % struct.unpack("<i", read(detail + 4, 4))
        elif tag == 2:
            reason += " task #%d" % number(detail + 8)
        elif tag == 4:
            reason += " of %d" % number(detail + 8)
        return reason

    def describe(self):
        map = self.map
        if self.is_parked():
            text = "%s at %s" % (self.waits_for(), map.place(self.fiber + map.fiber_place))
            if self.state == map.state_parked:
                text += ", not killable"
        elif self.is_running():
            text = "running"
        elif self.state == map.state_active:
            text = "ready"
        elif self.state == map.state_ended:
            text = "ended"
        else:
            text = "?"
        if number(self.fiber + map.fiber_is_killed, 1):
            text += ", killed"
        kinds = {map.kind_scope: ", in scope", map.kind_deadline: ", in timeout", map.kind_shield: ", in shield"}
        for node in list(self.frames())[1:]:
            text += kinds.get(number(node + map.node_kind, 1), "")
        stack = self.stack()
        pointer = self.stack_pointer()
        if stack is not None and pointer is not None and stack[0] - stack[1] <= pointer <= stack[0]:
            text += ", stack %d of %d KiB" % ((stack[0] - pointer + 1023) // 1024, stack[1] // 1024)
        return "%s #%d: %s" % (self.name, self.id, text)


def maps():
    """Finds the maps of the process by their section, which is there in a stripped program, too."""
    found = []
    # gdb has called the option by two names.
    for option in ("-all-objects ", "ALLOBJ "):
        try:
            listing = gdb.execute("maintenance info sections %s.coop" % option, to_string=True)
        except gdb.error:
            continue
        for match in re.finditer(r"0x([0-9a-f]+)->0x([0-9a-f]+) at \S+: \.coop(?=\s)", listing):
            start, end = (int(text, 16) for text in match.groups())
            try:
                section = read(start, end - start)
            except gdb.MemoryError:
                continue
            at = section.find(MAGIC)
            while at >= 0:
                if start + at not in found:
                    found.append(start + at)
                at = section.find(MAGIC, at + 1)
        if found:
            break
    return [Map(address) for address in found]


def cooperators():
    """In the order they were made."""
    known = maps()
    if not known:
        raise gdb.GdbError("No program that is linked with coop is loaded, or it is of another version than coop.py.")
    all = [cooperator for map in known for cooperator in map.cooperators()]
    if not all:
        raise gdb.GdbError("No Cooperator runs in this process.")
    return sorted(all, key=lambda cooperator: cooperator.id)


def find(text):
    """The task that a user means by "5", "#5" or "2.5"."""
    match = re.fullmatch(r"(?:(\d+)\.)?#?(\d+)", text.strip())
    if match is None:
        raise gdb.GdbError("A task is meant by its number, as `coop tasks` shows it: 5, or 2.5 for one of Cooperator 2.")
    wanted, id = match.group(1), int(match.group(2))
    all = [c for c in cooperators() if wanted is None or c.id == int(wanted)]
    found = [task for c in all for task, _ in c.tasks() if task.id == id]
    if len(found) > 1:
        selected = gdb.selected_thread()
        own = [task for task in found if selected is not None and task.cooperator.thread in selected.ptid]
        found = own or found
    if not found:
        raise gdb.GdbError("There is no task #%d." % id)
    if len(found) > 1:
        names = ", ".join("%d.%d" % (task.cooperator.id, task.id) for task in found)
        raise gdb.GdbError("Several Cooperators have a task of that number: %s." % names)
    return found[0]


class ParkedUnwinder(Unwinder):
    """While it is given a context, the selected thread's innermost frame seems to be called by what is parked there."""

    def __init__(self):
        super().__init__("coop-parked")
        self.context = None
        self.innermost = None

    def look_at(self, context):
        if context is None and self.context is None:
            return
        self.context = None
        gdb.invalidate_cached_frames()
        if context is not None:
            frame = gdb.newest_frame()
            self.innermost = (int(frame.read_register("rip")), int(frame.read_register("rsp")))
            self.context = context
            gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if self.context is None:
            return None
        here = (int(pending.read_register("rip")), int(pending.read_register("rsp")))
        if here != self.innermost:
            return None
        rip, rsp, rbx, rbp = self.context
        # A frame's caller must not stand below it: so this one seems to stand right below the parked stack's last frame.
        info = pending.create_unwind_info(FrameId(gdb.Value(signed(rsp - 16)), gdb.Value(signed(here[0]))))
        for name, value in (("rip", rip), ("rsp", rsp), ("rbx", rbx), ("rbp", rbp)):
            info.add_saved_register(name, gdb.Value(signed(value)).cast(gdb.lookup_type("long")))
        return info


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


unwinder = ParkedUnwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


def name_of(frame):
    name = frame.name()
    if not name:
        return "??"
    if "::" not in name and frame.type() != gdb.INLINE_FRAME:
        # With little debug information functions have lost their modules; their symbols have not.
        symbol = gdb.execute("info symbol 0x%x" % frame.pc(), to_string=True).split(" + ")[0].split(" in section")[0]
        if symbol.count("::"):
            name = symbol.strip()
    # What the compiler adds to make a name unique.
    return without_generics(re.sub(r"::h[0-9a-f]{16}$", "", name))


def without_generics(name):
    """`f<fn() -> T>` as `f`: types of closures would fill the screen. `<T as Trait>::f` stays what it is."""
    kept, depth = "", 0
    for at, letter in enumerate(name):
        opens = letter == "<" and (depth or (at and (name[at - 1].isalnum() or name[at - 1] in "_:}")))
        if opens:
            depth += 1
        elif letter == ">" and depth and name[at - 1] != "-":
            depth -= 1
        elif not depth:
            kept += letter
    return kept.replace("::::", "::").rstrip(":")


def print_frames(frame):
    """As gdb's own `backtrace` prints them, with numbers that begin here."""
    level = 0
    try:
        while frame is not None and frame.is_valid():
            line = "#%-3d " % level
            if frame.type() != gdb.INLINE_FRAME:
                line += "0x%016x in " % frame.pc()
            line += name_of(frame)
            place = frame.find_sal()
            if place.symtab is not None:
                line += " at %s:%d" % (place.symtab.filename, place.line)
            else:
                library = gdb.solib_name(frame.pc())
                if library:
                    line += " from %s" % library
            print(line)
            level += 1
            frame = frame.older()
    except gdb.error as error:
        print("Backtrace stopped: %s" % error)


def backtrace(task):
    if task.is_running():
        thread = task.cooperator.gdb_thread()
        if thread is None:
            raise gdb.GdbError("Task #%d runs, and its thread is not known here." % task.id)
        selected = gdb.selected_thread()
        thread.switch()
        try:
            print_frames(gdb.newest_frame())
        finally:
            if selected is not None:
                selected.switch()
        return
    if not task.can_go_on():
        raise gdb.GdbError("Task #%d has ended." % task.id)
    before = unwinder.context
    unwinder.look_at(task.context())
    try:
        print_frames(gdb.newest_frame().older())
    finally:
        unwinder.look_at(before)


class Coop(gdb.Command):
    """Look at the tasks of a program that runs on coop.

    coop tasks         the tree of tasks
    coop bt ID|all     the backtrace of a task, or of all
    coop select [ID]   have frame commands look at a task; without ID, at the thread again
    coop core FILE     write a core of a live process, stacks of tasks included"""

    def __init__(self):
        super().__init__("coop", gdb.COMMAND_STACK, prefix=True)


class Tasks(gdb.Command):
    """The tree of tasks: name, number, state, what each waits for and where, stack used and size."""

    def __init__(self):
        super().__init__("coop tasks", gdb.COMMAND_STACK)

    def invoke(self, arguments, from_tty):
        unwinder.look_at(None)
        all = cooperators()
        for cooperator in all:
            tree = list(cooperator.tasks())
            print("Cooperator %d, thread %d, %d tasks" % (cooperator.id, cooperator.thread, len(tree)))
            for task, depth in tree:
                print("  " * (depth + 1) + task.describe())


class Bt(gdb.Command):
    """The backtrace of a task: coop bt ID, or `all`."""

    def __init__(self):
        super().__init__("coop bt", gdb.COMMAND_STACK)

    def invoke(self, arguments, from_tty):
        if arguments.strip() != "all":
            backtrace(find(arguments))
            return
        unwinder.look_at(None)
        for cooperator in cooperators():
            for task, _ in list(cooperator.tasks()):
                print(task.describe())
                try:
                    backtrace(task)
                except gdb.GdbError as error:
                    print(error)
                print("")


class Select(gdb.Command):
    """Have `bt`, `up`, `info locals` and other frame commands look at a parked task, until the process goes on.

    Frame 0 stays the thread's own; the task's begin at frame 1. Without a number: back to the thread."""

    def __init__(self):
        super().__init__("coop select", gdb.COMMAND_STACK)

    def invoke(self, arguments, from_tty):
        if not arguments.strip():
            unwinder.look_at(None)
            return
        task = find(arguments)
        if not task.can_go_on():
            raise gdb.GdbError("Task #%d is not parked: look at its thread." % task.id)
        unwinder.look_at(task.context())
        gdb.newest_frame().older().select()
        print(task.describe())


class Core(gdb.Command):
    """Write a core of a live process: `gcore` stops reading a mapping at the first guard page, and leaves the stacks of tasks
    zero; this fills them in."""

    def __init__(self):
        super().__init__("coop core", gdb.COMMAND_DATA, gdb.COMPLETE_FILENAME)

    def invoke(self, arguments, from_tty):
        path = arguments.strip()
        if not path:
            raise gdb.GdbError("coop core FILE")
        unwinder.look_at(None)
        gdb.execute("generate-core-file " + path, to_string=True)
        count = 0
        with open(path, "r+b") as file:
            segments = list(loads(file))
            for task in [task for c in cooperators() for task, _ in c.tasks()]:
                stack, pointer = task.stack(), task.stack_pointer()
                if stack is None or pointer is None:
                    continue
                top, size = stack
                if not top - size <= pointer <= top:
                    pointer = top - size
                # What is below the pointer is over, but for the red zone.
                self.fill(file, segments, max(top - size, pointer - 128) & ~4095, top)
                count += 1
        print("Saved %s, with the stacks of %d tasks" % (path, count))

    @staticmethod
    def fill(file, segments, low, high):
        page = 4096
        for address, offset, size in segments:
            for at in range(max(low, address), min(high, address + size), page):
                try:
                    content = read(at, page)
                except gdb.MemoryError:
                    continue
                # A page of zeros is what `gcore` has written already, or has left as a hole.
                if any(content):
                    file.seek(offset + at - address)
                    file.write(content)


def loads(file):
    """Address, offset and size in the file of each segment of a 64-bit ELF core."""
    file.seek(0)
    header = file.read(64)
    start, = struct.unpack_from("<Q", header, 32)
    size, count = struct.unpack_from("<HH", header, 54)
    for index in range(count):
        file.seek(start + index * size)
        kind, _, offset, address, _, in_file, _, _ = struct.unpack("<IIQQQQQQ", file.read(56))
        if kind == 1:
            yield address, offset, in_file


Coop()
Tasks()
Bt()
Select()
Core()

# A context is only good while nothing runs.
try:
    gdb.events.cont.disconnect(gdb.coop_continued)
except (AttributeError, ValueError):
    pass


def continued(_):
    unwinder.context = None


gdb.coop_continued = continued
gdb.events.cont.connect(continued)

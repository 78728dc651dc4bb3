"""What can go wrong while a checkpoint is written, what is left, and the tests that prove it."""

from __future__ import annotations

from dataclasses import dataclass

_FAULTS = "tests/cli/test_write_faults.py::"
_PLACES = "tests/cli/test_write_places.py::"
_RUNS = "tests/cli/test_writer_runs.py::"
_DURABLE = "tests/durable/test_faults.py::"
_NEW_FILE = "tests/durable/test_new_file.py::"
_TARGETS = "tests/durable/test_targets.py::"
_BYTES = "tests/formats/test_safetensors_writer.py::"
_HOSTILE = "tests/hostile/test_hostile_faults.py::"
_STREAMS = "tests/hostile/test_hostile_streams.py::"
_MOUNT = "a small file system can be mounted"


@dataclass(frozen=True)
class Writing:
    """A line of the table.

    Attributes:
        case: What happens to the writer.
        outcome: What is left, and how it ends.
        proofs: Node ids of the tests that hold it.
        needs: Where they run; empty for everywhere. Elsewhere they are skipped with the reason.
    """

    case: str
    outcome: str
    proofs: tuple[str, ...]
    needs: str = ""


WRITING: tuple[Writing, ...] = (
    Writing(
        "disk full",
        "refused before anything is computed where the space is known to be too small, else given "
        "up: exit 2, nothing new, the old file stays",
        (
            f"{_FAULTS}test_a_disk_that_is_too_small_is_told_before_anything_is_computed",
            f"{_DURABLE}test_a_full_disk_leaves_nothing",
            f"{_HOSTILE}test_a_disk_that_fills_meanwhile_leaves_nothing",
        ),
        _MOUNT,
    ),
    Writing(
        "RLIMIT_FSIZE",
        "exit 2 with the reason, nothing new, the old file stays",
        (
            f"{_FAULTS}test_a_file_over_the_limit_leaves_nothing",
            f"{_DURABLE}test_a_file_over_the_limit_leaves_nothing",
        ),
    ),
    Writing(
        "SIGKILL at random moments",
        "the old file or the whole new one; at most a hidden name of the instant between link and "
        "rename, and only where a file is replaced",
        (
            f"{_FAULTS}test_a_kill_at_any_moment_leaves_the_old_file_or_the_whole_new_one",
            f"{_FAULTS}test_a_kill_at_any_moment_of_work_in_place_leaves_the_input_or_the_whole_new_file",
            f"{_DURABLE}test_a_kill_at_any_moment_leaves_whole_files_and_no_others",
        ),
    ),
    Writing(
        "SIGTERM, SIGINT, SIGHUP",
        "exit 143, 130, 129, silently; nothing new, the old file stays",
        (
            f"{_FAULTS}test_a_signal_leaves_nothing",
            f"{_FAULTS}test_a_signal_leaves_no_folder_of_shards",
            f"{_HOSTILE}test_a_signal_to_apply_leaves_nothing",
        ),
    ),
    Writing(
        "read-only folder",
        "refused before anything is computed, exit 2",
        (
            f"{_HOSTILE}test_a_folder_that_cannot_be_written_to_is_told",
            f"{_DURABLE}test_a_folder_without_permission_is_told",
            f"{_DURABLE}test_a_file_system_that_is_read_only_is_told",
            f"{_TARGETS}test_a_folder_that_cannot_be_written_to_is_refused",
        ),
        "root ignores the mode of a folder: as root the first test gives up that right, the "
        f"second is skipped; the last two run where {_MOUNT}",
    ),
    Writing(
        "existing output",
        "exit 2 without --force, the old file stays; with it the new one takes its place",
        (
            f"{_PLACES}test_an_output_that_exists_needs_force",
            f"{_PLACES}test_a_default_output_that_exists_needs_force",
            f"{_NEW_FILE}test_a_file_that_appears_meanwhile_stays_without_replace",
        ),
    ),
    Writing(
        "output = input by path, `./`, hard link, symbolic link",
        "exit 2 even with --force, the input stays; --in-place says it on purpose",
        (
            f"{_PLACES}test_an_output_that_is_the_input_is_refused_even_with_force",
            f"{_HOSTILE}test_convert_does_not_write_over_its_input",
            f"{_TARGETS}test_an_input_is_refused_by_any_name",
        ),
    ),
    Writing(
        "output is a symbolic link",
        "exit 2 without --force; with it the link is replaced, what it led to stays",
        (
            f"{_PLACES}test_a_link_that_is_replaced_leaves_what_it_led_to",
            f"{_NEW_FILE}test_a_symbolic_link_is_replaced_and_its_target_stays",
            f"{_NEW_FILE}test_a_dangling_link_is_not_followed",
            f"{_HOSTILE}test_a_link_needs_force_and_is_not_followed",
        ),
    ),
    Writing(
        "output is a directory, a FIFO, `/dev/full`",
        "exit 2 even with --force, and it stays what it is",
        (
            f"{_PLACES}test_an_output_that_is_not_a_file_is_refused_even_with_force",
            f"{_HOSTILE}test_convert_writes_to_nothing_but_a_file",
            f"{_TARGETS}test_what_is_not_a_file_is_refused",
        ),
    ),
    Writing(
        "mode and group of a file that is replaced",
        "are kept; a group that may not be given leaves it no more rights than everybody has",
        (
            f"{_PLACES}test_in_place_keeps_the_mode_and_the_other_name",
            f"{_NEW_FILE}test_the_mode_of_the_old_file_is_kept",
            f"{_NEW_FILE}test_group_and_owner_of_the_old_file_are_kept",
            f"{_NEW_FILE}test_another_group_gets_no_more_than_everybody",
            f"{_HOSTILE}test_mode_and_group_of_the_old_file_are_kept",
        ),
        "owner and group: as root",
    ),
    Writing(
        "five writers at once",
        "one wins and four end with 2; with --force the last one stays; whole either way",
        (
            f"{_FAULTS}test_of_five_writers_one_wins_or_all_replace_each_other",
            f"{_DURABLE}test_of_five_writers_one_wins_or_all_replace_each_other",
        ),
    ),
    Writing(
        "a reader at the same time",
        "sees the old file or the whole new one",
        (
            f"{_DURABLE}test_a_reader_never_sees_a_part",
            f"{_HOSTILE}test_a_reader_sees_the_old_file_or_the_whole_new_one",
        ),
    ),
    Writing(
        "input changes meanwhile",
        "exit 2, nothing new",
        (
            f"{_FAULTS}test_an_input_that_changes_meanwhile_gives_no_output",
            f"{_HOSTILE}test_an_input_that_grows_while_it_is_converted_gives_no_output",
        ),
    ),
    Writing(
        "`| head -1`",
        "the checkpoint is whole; exit 141 where the pipe breaks, without a message",
        (
            f"{_STREAMS}test_a_pipe_that_breaks_leaves_all_that_apply_writes",
            f"{_STREAMS}test_a_pipe_that_breaks_leaves_all_that_convert_writes",
            f"{_STREAMS}test_a_pipe_that_takes_the_path_ends_with_0",
            f"{_RUNS}test_a_broken_pipe_of_the_path_ends_with_141",
        ),
    ),
    Writing(
        "standard output closed",
        "the checkpoint is whole; exit 2, since its path could not be said",
        (f"{_STREAMS}test_standard_output_that_takes_nothing_is_told_and_the_checkpoint_stays",),
    ),
    Writing(
        "standard output full",
        "the checkpoint is whole; exit 2, since its path could not be said",
        (
            f"{_STREAMS}test_standard_output_that_takes_nothing_is_told_and_the_checkpoint_stays",
            f"{_RUNS}test_standard_output_that_is_full_is_said_and_the_checkpoint_stays",
        ),
    ),
    Writing(
        "no terminal",
        "the same checkpoint, and no control character in what is said",
        (f"{_STREAMS}test_without_a_terminal_nothing_but_text_is_said",),
    ),
    Writing(
        "LC_ALL=C",
        "the same checkpoint; what is said is ASCII, names in the file stay as they are",
        (
            f"{_STREAMS}test_a_locale_without_letters_changes_no_name_in_the_file",
            f"{_RUNS}test_an_ascii_locale_does_not_break_what_is_said",
        ),
    ),
    Writing(
        "two runs",
        "the same sha256, with any number of jobs",
        (
            f"{_STREAMS}test_two_runs_have_the_same_sha256",
            f"{_RUNS}test_two_runs_write_the_same_bytes_and_say_the_same",
        ),
    ),
    Writing(
        "safetensors written by normcli",
        "are byte by byte what the library writes of the same tensors",
        (
            f"{_STREAMS}test_the_bytes_are_those_of_the_library",
            f"{_BYTES}test_a_torch_file_becomes_the_bytes_of_the_reference_writer",
            f"{_BYTES}test_any_state_dict_is_written_as_the_reference_writer_does",
        ),
    ),
)

"""The flow tests of ``icure_async`` that are not run for ``icure_sync``, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SAME = "It makes no call: what it tests is the same code in both packages."
_INSIDE = "It tests objects of icure_async that have no twin: icure_sync uses the same ones."
_BELOW = (
    "It strikes below what icure_sync adds: its requests are made, and its answers checked, by the "
    "same async code."
)
_PLAIN = "A plain function is what icure_sync takes."
_OF_THE_CALLER = (
    "It measures the steps of the task that awaits the SDK. A blocking caller has none; those on "
    "the loop thread are of the same code."
)

FOLDERS: Final = tuple(
    f"tests/{name}/" for name in ("apis", "authentication", "flows", "keys", "programs")
)
"""The folders of the flow tests."""

FILES: Mapping[str, str] = {
    "tests/apis/test_all_data_of_patients.py": _INSIDE,
    "tests/apis/test_cardinal_children.py": _INSIDE,
    "tests/apis/test_cardinal_records.py": _BELOW,
    "tests/apis/test_hostile_backend_today.py": _BELOW,
    "tests/authentication/test_cardinal_codes.py": _BELOW,
    "tests/authentication/test_crashes.py": _BELOW,
    "tests/keys/test_cardinal_world.py": _INSIDE,
    "tests/keys/test_exchange_data.py": _INSIDE,
    "tests/keys/test_exchange_data_gifts.py": _INSIDE,
    "tests/keys/test_own_record.py": _INSIDE,
    "tests/keys/test_recovery_keys.py": _INSIDE,
    "tests/keys/test_secure_metadata.py": _INSIDE,
    "tests/keys/test_secure_shares.py": _INSIDE,
    "tests/authentication/test_process.py": _SAME,
    "tests/authentication/test_progress.py": (
        "It tests what the authentication API writes down, which has no twin: the same async "
        "object works on the loop thread."
    ),
    "tests/flows/test_examples.py": "It runs the examples of both packages itself.",
    "tests/keys/test_current_user.py": "It tests an object of icure_async that has no twin.",
    "tests/keys/test_own_account_faults.py": (
        "It takes minutes, and strikes below what icure_sync adds: its requests are made, and made "
        "again, by the same async code."
    ),
    "tests/flows/test_events.py": (
        "It iterates and waits as asyncio programs do. The subscriptions of icure_sync have tests "
        "of their own, tests/sync/test_events.py."
    ),
    "tests/flows/test_fault_matrix.py": (
        "It takes minutes, and strikes below what icure_sync adds: its requests are made, and made "
        "again, by the same async code."
    ),
    "tests/flows/test_mutations.py": (
        "It takes minutes, and strikes below what icure_sync adds: what an answer means is decided "
        "by the same async code."
    ),
    "tests/programs/test_at_once.py": (
        "Its programs are asyncio programs of their own. In icure_sync the same async code takes "
        "the locks and writes the files that they race for."
    ),
    "tests/programs/test_killing.py": (
        "Its program is an asyncio program of its own, and killing it at each moment takes long. "
        "In icure_sync the same async code writes what a killed process leaves behind."
    ),
}
"""Files, by path."""

TESTS: Mapping[str, Mapping[str, str]] = {
    "tests/apis/test_batches.py": {
        "test_a_progress_that_is_not_async_is_explained": _PLAIN,
    },
    "tests/apis/test_golden_world2.py": {
        "test_every_expectation_is_checked": "It looks into a file, and makes no call.",
        "test_every_reader_of_the_second_world_reads_what_it_must_and_nothing_else": (
            "It reads the batches of data samples, too, which no API shows."
        ),
    },
    "tests/apis/test_cardinal_world.py": {
        "test_all_expectations_of_conditions_contacts_and_maintenance_tasks": (
            "It reads the batches of data samples, too, which no API shows."
        ),
    },
    "tests/apis/test_clinical_losses.py": {
        "test_every_recorded_bug_has_a_test": "It looks into files, and makes no call.",
    },
    "tests/apis/test_hostile_backend.py": {
        "test_what_is_stored_opens_for_nobody_without_a_key": (
            "It plays the attacker, and makes no call."
        ),
    },
    "tests/keys/test_report.py": {
        "test_a_lost_key_that_opens_nothing_more_is_no_problem": _SAME,
    },
    "tests/keys/test_known_keys.py": {
        "test_a_policy_that_is_no_async_function_is_refused": _PLAIN,
        "test_a_listener_that_is_no_async_function_is_refused": _PLAIN,
        "test_nothing_is_forgotten_while_no_key_pair_is_in_use": _SAME,
        "test_what_is_known_better_is_not_forgotten_for_what_is_known_less": _SAME,
        "test_keys_remembered_at_the_same_time_are_all_remembered": _SAME,
        "test_a_key_made_here_comes_before_those_that_need_an_answer": _SAME,
        "test_a_record_of_one_data_owner_says_nothing_under_the_name_of_another": _SAME,
        "test_several_questions_about_one_key_at_once_are_one": _SAME,
        "test_a_question_that_is_given_up_is_asked_again": (
            "A task that is cancelled ends no thread that blocks: what ends a blocking call is "
            "Ctrl-C, and the tests of the runtime press it."
        ),
    },
    "tests/keys/test_notaries.py": {
        "test_a_share_goes_to_json_and_back": _SAME,
        "test_json_that_is_no_share_is_refused": _SAME,
        "test_a_text_that_is_no_json_is_refused_and_not_shown": _SAME,
    },
    "tests/apis/test_notifications.py": {
        "test_the_golden_notifications_are_all_there": "It looks into a file, and makes no call.",
    },
    "tests/apis/test_data_export.py": {
        "test_an_export_is_iterated_over": "A plain iterator can't be awaited by mistake.",
    },
    "tests/authentication/test_first_login.py": {
        "test_after_death_at_any_point_the_next_call_finishes_the_job": _BELOW,
    },
    "tests/authentication/test_proof_of_work.py": {
        "test_the_event_loop_runs_on_while_a_captcha_is_solved": _OF_THE_CALLER,
        "test_the_nonces_of_the_vector_are_found": _SAME,
        "test_nonces_are_the_ones_of_the_specification": _SAME,
        "test_a_nonce_far_away_is_found_in_slices": _SAME,
        "test_a_callback_that_is_not_async": _PLAIN,
    },
    "tests/authentication/test_second_factor.py": {
        "test_a_function_that_is_not_async": _PLAIN,
        "test_options_that_make_no_sense": _PLAIN,
        "test_many_calls_at_once_ask_once": (
            "It calls more at once than the pool has threads, in which this adapter blocks."
        ),
    },
    "tests/authentication/test_secrecy.py": {
        "test_a_malformed_process_is_not_quoted": _SAME,
    },
    "tests/authentication/test_today.py": {
        "test_after_a_death_the_next_call_finishes_the_job": (
            "It cancels the task of a program while others work for it. A blocking caller has no "
            "task."
        ),
    },
    "tests/flows/test_event_loop.py": {
        "test_no_step_of_the_story_holds_up_the_loop": _OF_THE_CALLER,
        "test_reading_many_patients_leaves_room_for_others": _OF_THE_CALLER,
    },
    "tests/flows/test_golden_today.py": {
        "test_there_are_eighty_expectations_for_patients": _SAME,
        "test_each_stage_is_a_seed_that_comes_out_as_it_went_in": _SAME,
    },
}
"""Tests of other files, by path and name."""

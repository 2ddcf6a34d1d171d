from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from cachelora.errors import UsageError
from cachelora.terminal import progress
from cachelora_training.domains import domain_named, read_domains
from cachelora_training.errors import OutputExistsError, RecipeError, RowsError
from cachelora_training.generate.backends import check_backend
from cachelora_training.generate.endpoints import EndpointError, Settings, endpoints
from cachelora_training.generate.filters import Filters, similarity_of_words
from cachelora_training.generate.journal import Journal
from cachelora_training.generate.pace import Pace
from cachelora_training.generate.plan import plan_samples
from cachelora_training.generate.prompt import Answer, answer_of, prompt_hash
from cachelora_training.generate.queries import Query, read_queries
from cachelora_training.generate.requests import Reply
from cachelora_training.generate.rules import RULES, near_miss, rewording
from cachelora_training.generate.run import Job, generate_from_model, generate_from_rules
from cachelora_training.rows import KINDS, Triplet, read_triplets
from chat_server import ChatServer, honest

MMLU_PRO = {
    *("biology", "business", "chemistry", "computer science", "economics", "engineering", "health", "history"),
    *("law", "math", "philosophy", "physics", "psychology", "other"),
}

SUBJECTS = (
    "rash",
    "fever",
    "cough",
    "burn",
    "sprain",
    "migraine",
    "wart",
    "cramp",
    "hiccup",
    "sty",
    "ulcer",
    "tick bite",
)
PLACES = ("arm", "neck", "back", "leg", "hand", "face", "foot", "scalp", "chest", "knee")


def questions(count):
    made = [f"how do i treat a {subject} on the {place}" for subject in SUBJECTS for place in PLACES]
    return made[:count]


@pytest.fixture
def queries(tmp_path):
    def write_queries(count=24):
        path = tmp_path / "queries.txt"
        path.write_text("\n".join(questions(count)) + "\n")
        return str(path)

    return write_queries


def job(queries, tmp_path, count=24, **changes):
    return Job("medical", domain_named("medical"), queries, tmp_path / "out.jsonl", count, **changes)


def ask(*servers, **changes):
    settings = {"api_key": "none", "model": "small", "concurrency": 4, "timeout": 10.0} | changes
    return endpoints(Settings(urls=tuple(server.url for server in servers), **settings))


def generate(todo, asker, **changes):
    return generate_from_model(todo, asker, model="small", temperature=0.8, **changes)


def written(todo):
    return [json.loads(line) for line in todo.output.read_text().splitlines()]


# --- domains -------------------------------------------------------------------------------------------------


def test_every_category_of_mmlu_pro_and_our_own_has_its_settings():
    domains = read_domains()
    assert {*MMLU_PRO, "general", "medical", "programming"} <= domains.keys()
    for name, domain in domains.items():
        assert {example.kind for example in domain.examples} <= set(KINDS), name
        for example in domain.examples:
            assert len({example.question, example.positive, example.negative}) == 3, name


def test_a_bad_domain_is_named_with_its_key(tmp_path):
    path = tmp_path / "domains.yaml"
    path.write_text("cooking:\n  same_answer: too short\n  near_miss: another dish or another oven temperature\n"
                    "  kinds: [entity, number, colour]\n  examples: []\n  color: blue\n")  # fmt: skip
    with pytest.raises(RecipeError) as found:
        read_domains(path)
    for key in ("cooking.same_answer", "cooking.kinds", "cooking.examples", "cooking.color"):
        assert f"{path}: {key}: " in str(found.value)


def test_an_unknown_domain_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"astrology.*biology"):
        domain_named("astrology")


# --- questions and plan --------------------------------------------------------------------------------------


def test_questions_come_as_text_or_json_and_once(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('{"query": "What is  a wart?"}\n\n{"question": "what is a wart"}\n{"anchor": "what is a sty"}\n')
    found = read_queries(str(path))
    assert [query.text for query in found] == ["What is a wart?", "what is a sty"]
    assert found[1].source.endswith("q.jsonl:4")


def test_a_source_names_no_directory_where_none_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.txt").write_text("what is a wart\n")
    assert read_queries("q.txt")[0].source == "q.txt:1"
    assert read_queries(str(tmp_path / "q.txt"))[0].source == f"{tmp_path.name}/q.txt:1"


def test_bad_questions_are_all_listed(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('{"query": "what is a wart"}\n{"q": 1}\nnothing\n')
    with pytest.raises(RowsError, match=r"(?s)q\.jsonl:2: .*q\.jsonl:3: "):
        read_queries(str(path))


def test_a_table_is_read_by_the_name_of_its_column(tmp_path):
    path = tmp_path / "q.csv"
    path.write_bytes('\ufeffid,Question\n1,"Is ""this"" a wart,\nor a mole?"\n2,\n\n3,Was ist das? 🤔\n'.encode())
    found = read_queries(str(path))
    assert [query.text for query in found] == ['Is "this" a wart, or a mole?', "Was ist das? 🤔"]
    assert found[1].source.endswith("q.csv:6")
    path.write_text("id,words\n1,what is a wart\n")
    with pytest.raises(RowsError, match=r"q\.csv:1: a column named one of query, .*found id, words"):
        read_queries(str(path))
    path.write_bytes(b"query\n\xff\n")
    with pytest.raises(RowsError, match=r"q\.csv:2: "):
        read_queries(str(path))


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "at@home.jsonl"])
@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_a_file_without_questions_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(RowsError, match=name):
        read_queries(str(path))


def test_an_at_in_a_local_name_does_not_hide_what_the_file_holds(tmp_path):
    path = tmp_path / "at@home.jsonl"
    path.write_text('{"query": "what is a wart"}\n')
    assert read_queries(str(path))[0].text == "what is a wart"


def test_the_plan_asks_every_question_once_before_any_twice_and_every_kind_equally_often():
    kinds = ("entity", "number", "time")
    samples = plan_samples([Query(text, "") for text in questions(20)], kinds, 40, seed=3)
    assert len({sample.query.text for sample in samples[:20]}) == 20
    assert len({(sample.query.text, sample.kind) for sample in samples}) == 40
    counts = [sum(sample.kind == kind for sample in samples) for kind in kinds]
    assert max(counts) - min(counts) <= 2
    assert samples == plan_samples([Query(text, "") for text in questions(20)], kinds, 40, seed=3)


# --- replies -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ('{"positive": "a", "negative": "b"}', True),
        ('Sure!\n```json\n{"positive": "a", "negative": "b", "why": "c"}\n```', True),
        ('{"positive": "a"}', False),
        ('{"positive": "", "negative": "b"}', False),
        ('{"positive": 1, "negative": "b"}', False),
        ("no", False),
        ('<think>Perhaps {"positive": "x"}?</think>{"positive": "a", "negative": "b"} {smiles}', True),
        ('draft {"positive": "x", "negative": "y"} final {"positive": "a", "negative": "b"}', True),
        ('{"positive": "a", "neg', False),
        ("} {", False),
        ("", False),
    ],
)
def test_an_answer_is_read_or_refused(content, read):
    assert answer_of(content) == (Answer(positive="a", negative="b") if read else None)


def test_the_hash_of_the_prompt_follows_the_domain():
    assert prompt_hash(domain_named("medical")) != prompt_hash(domain_named("law"))


# --- filters -------------------------------------------------------------------------------------------------


def test_each_refusal_is_counted_under_its_reason():
    test = [Triplet("can i swim with a tattoo", "is swimming fine with fresh ink", "can i swim with a plaster cast")]
    filters = Filters(test, least_positive=0.1, most_negative=0.9)
    assert filters.admit("how long does the flu last", "the flu: how long", "how long does a cold last")
    refused = {
        "empty": ("how", " ", "why"),
        "copy": ("Is a wart harmful?", "is a wart harmful", "is a mole harmful"),
        "positive shares too few words": ("is a wart harmful", "do birds sing", "is a mole harmful"),
        "negative shares too many words": ("is a wart harmful", "harmful, a wart", "are the wart harmful?"),
        "overlaps the test set": ("Can I swim with a tattoo?", "swim with a tattoo ok", "can i swim with a bandage"),
        "near-duplicate": ("how long does the flu last?", "the flu - how long", "how long does a cold last"),
    }
    for texts in refused.values():
        assert not filters.admit(*texts), texts
    assert filters.refused == dict.fromkeys(refused, 1)


def test_words_of_form_do_not_count():
    assert similarity_of_words("what is the dose of ibuprofen", "dose ibuprofen") == 1.0
    assert similarity_of_words("before surgery", "after surgery") < 1.0


# --- asking --------------------------------------------------------------------------------------------------


def test_every_triplet_says_where_it_comes_from(queries, tmp_path):
    with ChatServer() as server:
        todo = job(queries(), tmp_path)
        facts = generate(todo, ask(server))
    rows = written(todo)
    assert len(rows) == facts["written"] == 24
    assert (facts["prompt_tokens"], facts["completion_tokens"]) == (2400, 240)
    assert {row["prompt_sha256"] for row in rows} == {prompt_hash(domain_named("medical"))}
    assert {row["model"] for row in rows} == {"small"}
    assert all(row["source"].split(":")[-1].isdigit() and row["kind"] in KINDS for row in rows)
    assert len(read_triplets([str(todo.output)])) == 24
    assert not todo.output.with_name("out.jsonl.journal").exists()


def test_faults_of_servers_lose_nothing(queries, tmp_path):
    with ChatServer(faults=("429", "500", "cut", "slow")) as one, ChatServer(faults=("500",)) as other:
        todo = job(queries(32), tmp_path, 32)
        facts = generate(todo, ask(one, other, timeout=1.0))
        assert set(one.met) == {"429", "500", "cut", "slow"}
        assert other.answered
    assert facts["written"] == 32
    assert {row["anchor"] for row in written(todo)} == set(questions(32))


def test_replies_that_are_no_json_are_counted_and_not_asked_again(queries, tmp_path):
    def unreliable(question):
        return "I would rather not say." if "neck" in question else honest(question)

    with ChatServer(unreliable) as server:
        todo = job(queries(20), tmp_path, 20)
        facts = generate(todo, ask(server))
        assert max(server.answered.values()) == 1
    assert facts["refused"] == {"no JSON answer": 2}
    assert facts["written"] == 18


def test_a_server_without_json_schema_is_asked_in_words(queries, tmp_path):
    with ChatServer(schema=False) as server:
        assert generate(job(queries(8), tmp_path, 8), ask(server))["written"] == 8


def test_a_server_that_streams_unasked_is_understood(queries, tmp_path):
    with ChatServer(stream=True) as server:
        facts = generate(job(queries(8), tmp_path, 8), ask(server))
    assert (facts["written"], facts["prompt_tokens"]) == (8, 800)


def test_a_dead_server_leaves_its_work_to_the_others(queries, tmp_path):
    with ChatServer() as dead:
        pass
    with ChatServer() as alive:
        facts = generate(job(queries(20), tmp_path, 20), ask(dead, alive, retries=1))
        assert sum(alive.answered.values()) == 20
    assert facts["written"] == 20


def test_a_server_that_dies_on_the_way_leaves_its_work_to_the_others(queries, tmp_path):
    with ChatServer(lives=5) as dying, ChatServer(delay=0.02) as alive:
        facts = generate(job(queries(40), tmp_path, 40), ask(dying, alive, retries=0))
        assert dying.answered
        assert len(alive.answered) >= 30
    assert facts["written"] == 40


def test_a_server_of_the_wrong_address_is_told_apart_from_one_that_is_away(queries, tmp_path):
    todo = job(queries(4), tmp_path, 4)
    with ChatServer() as server, ChatServer() as dead:
        server.url, dead.url = server.url.removesuffix("/v1") + "/nowhere", "http://127.0.0.1:9/v1"
        with pytest.raises(EndpointError) as found:
            generate(todo, ask(server, dead, retries=0))
    assert "HTTP 404" in str(found.value)
    assert "--model name one it has" in str(found.value)
    assert "can't be reached (" in str(found.value)
    assert "4 of 4 replies are missing" in str(found.value)


@pytest.mark.parametrize("address", ["127.0.0.1:8000/v1", "ftp://host/v1", "http:/host", ""])
def test_an_address_that_is_none_is_refused_before_anything_is_asked(address):
    with pytest.raises(UsageError, match="--endpoint is "):
        check_backend("endpoint", "small", ["http://127.0.0.1:8000/v1", address])


def test_retry_after_is_waited_for(queries, tmp_path):
    with ChatServer(faults=("429",), retry_after="1") as server:
        facts = generate(job(queries(3), tmp_path, 3), ask(server, concurrency=3))
    assert facts["written"] == 3
    assert facts["seconds"] >= 1


@pytest.mark.parametrize("unknown", ["max_tokens", "temperature", "response_format"])
def test_what_a_hosted_model_does_not_take_is_not_asked_again(queries, tmp_path, unknown):
    with ChatServer(unknown=(unknown,)) as server:
        facts = generate(job(queries(8), tmp_path, 8), ask(server, concurrency=2))
        # Only the first ones, which were in flight together, were asked twice.
        assert sum(server.tries.values()) <= 8 + 2
    assert facts["written"] == 8


def test_a_question_that_a_server_refuses_is_counted_and_does_not_end_the_run(queries, tmp_path):
    with ChatServer(refuses=lambda question: "neck" in question) as server:
        todo = job(queries(20), tmp_path, 20)
        facts = generate(todo, ask(server))
    assert facts["refused"] == {"refused by the server": 2}
    assert facts["written"] == 18


def test_a_server_that_refuses_everything_leaves_nothing_in_the_journal(queries, tmp_path):
    for count in (3, 20):
        todo = job(queries(count), tmp_path, count)
        with ChatServer(refuses=lambda question: True) as server, pytest.raises(EndpointError):
            generate(todo, ask(server))
    with ChatServer() as server:
        assert generate(todo, ask(server))["written"] == 20


def test_a_reply_that_was_cut_off_is_told_apart_from_nonsense(queries, tmp_path):
    with ChatServer(finish="length") as server:
        facts = generate(job(queries(4), tmp_path, 4), ask(server))
    assert facts["refused"] == {"cut off at --max-tokens": 4}
    assert facts["written"] == 0


def test_letters_of_every_alphabet_survive(tmp_path):
    path = tmp_path / "q.txt"
    path.write_text("wie behandle ich ein Geschwür? 🤕\nЧто такое мигрень?\n偏頭痛とは何ですか\n")
    todo = job(str(path), tmp_path, 3)
    with ChatServer() as server:
        facts = generate(todo, ask(server))
    assert facts["written"] == 3
    assert {row["anchor"] for row in written(todo)} == set(path.read_text().splitlines())


def test_the_table_adds_up(queries, tmp_path):
    def answer(question):
        return "no" if "neck" in question else json.dumps({"positive": question, "negative": f"{question} on mars"})

    with ChatServer(answer) as server:
        facts = generate(job(queries(20), tmp_path, 60), ask(server))
    assert facts["written"] + sum(facts["refused"].values()) == facts["asked_for"] == 60
    by_rule = generate_from_rules(job(queries(20), tmp_path, 100, force=True))
    assert by_rule["written"] + sum(by_rule["refused"].values()) == by_rule["tried"]


def test_a_second_run_on_the_same_output_is_kept_away(queries, tmp_path):
    todo = job(queries(4), tmp_path, 4)
    with Journal(tmp_path / "out.jsonl.journal", {}), ChatServer() as server:
        with pytest.raises(UsageError, match="another run is writing it"):
            generate(todo, ask(server))
        assert not server.tries


def test_the_pace_is_said_now_and_then():
    now, said = [0.0], []
    with progress() as display:
        pace = Pace("generate", 3, display, clock=lambda: now[0], say=said.append)
        for seconds in (10.0, 40.0, 80.0):
            now[0] = seconds
            pace.add(Reply("", 100, 20))
    # The last reply ends the run, which says enough.
    assert said == ["generate: 2 of 3 replies, 3.0 a minute, 240 tokens"]


def test_a_second_opinion_drops_what_the_model_doubts(queries, tmp_path):
    def answer(question):
        if question in asked_once:
            return json.dumps({"positive_same": True, "negative_same": "leg" in question})
        asked_once.add(question)
        return honest(question)

    asked_once: set[str] = set()
    with ChatServer(answer) as server:
        facts = generate(job(queries(20), tmp_path, 20), ask(server), second_opinion=True)
    assert facts["refused"] == {"second opinion disagrees": 2}
    assert facts["requests"] == 40


def test_a_server_that_fails_for_good_keeps_what_arrived(queries, tmp_path):
    todo = job(queries(), tmp_path)
    with ChatServer(lives=5) as one, ChatServer(lives=5) as other:
        with pytest.raises(EndpointError, match="run the same command again"):
            generate(todo, ask(one, other, retries=0, concurrency=2))
        kept = {*one.answered, *other.answered}
    assert len(kept) == 10
    assert not todo.output.exists()
    with ChatServer() as server:
        facts = generate(todo, ask(server))
        assert not kept & set(server.answered)
    assert facts["written"] == 24
    assert facts["continued"] == len(kept)


def test_a_killed_run_continues_and_repeats_no_answered_request(queries, tmp_path):
    output = tmp_path / "out.jsonl"
    journal = tmp_path / "out.jsonl.journal"
    with ChatServer(delay=0.02) as server:
        command = [sys.executable, "-m", "cachelora", "generate", "--domain", "medical", "--queries", queries(100),
                   "--output", str(output), "--num-samples", "100", "--endpoint", server.url, "--model", "small",
                   "--concurrency", "2", "--json"]  # fmt: skip
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
        deadline = time.monotonic() + 60
        while len(server.answered) < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        kept = [json.loads(line) for line in journal.read_bytes().split(b"\n")[1:-1]]
        assert 10 <= len(kept) < 100
        assert not output.exists()
        before = dict(server.answered)

        # A kill may cut the last line in half.
        with journal.open("ab") as file:
            file.write(b'{"key": "sample 9')
        finished = subprocess.run(command, capture_output=True, text=True, check=True)
        facts = json.loads(finished.stdout)
        repeated = [question for question, count in server.answered.items() if count > 1]
    assert facts["continued"] == len(kept)
    assert facts["written"] == 100
    # Only what was in flight when the run died can have been asked twice.
    assert len(repeated) <= len(before) - len(kept) <= 2
    assert not journal.exists()


def test_a_journal_of_other_settings_is_refused(queries, tmp_path):
    todo = job(queries(), tmp_path)
    with ChatServer(lives=1) as server:
        with pytest.raises(EndpointError):
            generate(todo, ask(server, retries=0, concurrency=1))
        with pytest.raises(UsageError, match=r"other settings is there \(seed\)"):
            generate(job(queries(), tmp_path, seed=1), ask(server))


def test_a_journal_without_replies_is_no_obstacle(queries, tmp_path):
    with ChatServer(lives=0) as server, pytest.raises(EndpointError):
        generate(job(queries(), tmp_path), ask(server, retries=0))
    with ChatServer() as server:
        assert generate(job(queries(), tmp_path, seed=1), ask(server))["written"] == 24


def test_an_existing_output_is_kept(queries, tmp_path):
    todo = job(queries(), tmp_path)
    todo.output.write_text("precious")
    with pytest.raises(OutputExistsError):
        generate_from_rules(todo)
    assert todo.output.read_text() == "precious"


# --- rules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "question", "edited"),
    [
        ("number", "can i take 400 mg of ibuprofen", "can i take 800 mg of ibuprofen"),
        ("number", "tax rules of 2024", "tax rules of 2025"),
        ("number", "My son is 8 years old, is snoring normal?", "My son is 11 years old, is snoring normal?"),
        ("unit", "is 5 mg of melatonin too much", "is 5 mcg of melatonin too much"),
        ("negation", "How do I log in without a password?", "How do I log in with a password?"),
        ("negation", "Who is eligible for a refund?", "Who is not eligible for a refund?"),
        ("direction", "how to import a csv into excel", "how to export a csv from excel"),
        ("time", "Can I eat before surgery?", "Can I eat after surgery?"),
        ("population", "dose of paracetamol for children", "dose of paracetamol for adults"),
        ("entity", "is Ibuprofen safe with wine", "is Paracetamol safe with wine"),
        ("place", "minimum wage in Texas", "minimum wage in Florida"),
        ("version", "what is new in Python 3.11", "what is new in Python 3.12"),
        ("part_whole", "how do i delete all my photos", "how do i delete one of my photos"),
        ("part_whole", "select every row of a table", "select the first row of a table"),
        ("direction", "do you sell it to third parties", "do you buy it from third parties"),
        ("direction", "how to copy an increase", "how to copy a decrease"),
        ("entity", "connect to an Oracle database", "connect to a Mysql database"),
        ("number", "is type 2 diabetes inherited", "is type 1 diabetes inherited"),
        ("version", "pivot tables in Excel 2007", "pivot tables in Excel 2010"),
        ("negation", "What permissions are required?", "What permissions are not required?"),
        ("negation", "What information is stored?", "What information is not stored?"),
        ("intent", "How do I file an appeal?", "When should I file an appeal?"),
        ("intent", "What are the symptoms of gout?", "What are the causes of gout?"),
    ],
)
def test_a_rule_edits_one_thing(kind, question, edited):
    assert near_miss(question, kind) == edited


@pytest.mark.parametrize(
    "question", ["what is the 3rd step", "how do i deal with a bully", "explain {0} in a template"]
)
@pytest.mark.parametrize("kind", ["number", "negation"])
def test_a_rule_leaves_alone_what_it_would_spoil(kind, question):
    assert near_miss(question, kind) is None


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        # Both words are there: the question compares them.
        ("direction", "why do i gain weight instead of lose weight"),
        ("direction", "how to add/remove links"),
        ("entity", "depression or anxiety, which one is worse"),
        # Not the word's meaning, or no sentence.
        ("direction", "pain in my lower back"),
        ("direction", "i have a cold since monday"),
        ("direction", "who keeps my deposit"),
        ("direction", "is the office open now"),
        ("time", "has the shop been hacked before"),
        ("time", "my friend puts his dog before me"),
        ("time", "no data breach in the last few years"),
        ("population", "my children have got measles"),
        ("population", "i am expecting a child"),
        ("part_whole", "my son coughs all the time"),
        ("part_whole", "no one would want me"),
        ("entity", "how can i train myself to stop eating"),
        ("entity", "dealing with java.lang.String"),
        ("entity", "do they know my phone number"),
        ("version", "do you sell my data to 3rd parties"),
        ("version", "returning 503"),
        ("version", "can i set up 2fa"),
        ("number", "abscess over 9 o'clock"),
        ("number", "i have had spine problems since an accident in 1992"),
        ("number", "selecting from 2 tables"),
        ("unit", "i am 35 weeks pregnant"),
        ("unit", "i'm 19 years old"),
        ("unit", "how can i calculate the mean of all months"),
        # One answer serves both.
        ("negation", "will an account be required"),
        ("negation", "am i allowed to sublet"),
        ("negation", "does it share data with a third party"),
        ("negation", "what information is this app going to collect"),
        ("population", "how do i help my husband stop drinking"),
        ("intent", "why do i feel so lonely"),
        ("intent", "what causes a commit to fail"),
    ],
)
def test_a_rule_makes_nothing_where_no_near_miss_would_come_of_it(kind, question):
    assert near_miss(question, kind) is None


def test_an_edit_is_small_and_never_nothing(rows):
    for question in (str(row["anchor"]) for row in rows(50)):
        assert rewording(question) != question
        for kind in RULES:
            edited = near_miss(question, kind)
            assert edited is None or similarity_of_words(question, edited) < 1


def test_rules_give_the_same_file_again(tmp_path, queries):
    path = tmp_path / "q.txt"
    path.write_text("\n".join(f"can i take {n} mg of ibuprofen before a {s}" for n in range(3, 9) for s in SUBJECTS))
    one, other = job(str(path), tmp_path, 40), job(str(path), tmp_path, 40, force=True)
    facts = generate_from_rules(one)
    first = one.output.read_bytes()
    generate_from_rules(other)
    assert other.output.read_bytes() == first
    assert facts["written"] == len(read_triplets([str(one.output)])) > 10
    assert len(facts["kinds"]) >= 3

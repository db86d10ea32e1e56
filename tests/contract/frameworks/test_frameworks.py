"""Frameworks over a real socket. Each is installed on demand and runs a program of `programs/` against the emulator."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from emulator.api.emulator import Emulator
from emulator.server.settings import Settings

pytestmark = pytest.mark.frameworks

MODEL = "google/gemini-2.5-flash"
Make = Callable[[str, Sequence[str]], Path]


@pytest.fixture
def vertex(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator of the test's own: the built-in default, behind the scenario that the test names."""
    scenarios: tuple[Path, ...] = getattr(request, "param", ())
    with Emulator(*scenarios, settings=Settings(fallback="default")) as running:
        yield running


@pytest.fixture
def where(vertex: Emulator, project: str) -> Iterator[dict[str, str]]:
    """What a program must know; afterwards, that it asked, and that Vertex would have refused nothing it did not mean to."""
    yield {"API_KEY": vertex.api_key, "BASE_URL": vertex.session(project).base_url, "MODEL": MODEL}
    outcomes = [exchange.outcome for exchange in vertex.service.journal]
    assert outcomes
    wrong = [outcome.report or outcome.refusal for outcome in outcomes if outcome.result != "answer"]
    meant = [refusal for refusal in wrong if getattr(refusal, "rule", "") == "malformed_publisher_model"]
    assert wrong == meant


@pytest.mark.parametrize("vertex", [(Path(__file__).with_name("programs") / "langchain_standard.yaml",)], indirect=True)
def test_langchain(make_environment: Make, run_program: Callable[..., None], where: dict[str, str]) -> None:
    """LangChain's standard tests of chat models pass."""
    python = make_environment("langchain", ["langchain-openai", "langchain-tests"])
    # Its own settings, not ours: one loop for all tests, because ChatOpenAI keeps its connections from one to the next.
    options = [
        "asyncio_mode=auto",
        "asyncio_default_test_loop_scope=session",
        "asyncio_default_fixture_loop_scope=session",
    ]
    run_program(
        *(python, "-m", "pytest", "-c", "/dev/null", "--rootdir", ".", "--noconftest", "-q", "-p", "no:cacheprovider"),
        *(word for option in options for word in ("-o", option)),
        "langchain_standard.py",
        **where,
    )


def test_langchain_agents(make_environment: Make, run_program: Callable[..., None], where: dict[str, str]) -> None:
    """LangChain's agents end, with structured answers too, and its parsers read JSON that only the prompt asks for."""
    python = make_environment("langchain-agents", ["langchain", "langchain-openai"])
    run_program(python, "langchain_agents.py", **where)


def test_smolagents(make_environment: Make, run_program: Callable[..., None], where: dict[str, str]) -> None:
    """An agent of smolagents ends with its final answer."""
    run_program(make_environment("smolagents", ["smolagents[openai]"]), "smolagents_agents.py", **where)


def test_openai_agents(make_environment: Make, run_program: Callable[..., None], where: dict[str, str]) -> None:
    """Agents of openai-agents call tools and hand questions to one another."""
    run_program(make_environment("openai-agents", ["openai-agents"]), "openai_agents.py", **where)


def test_adk(make_environment: Make, run_program: Callable[..., None], where: dict[str, str]) -> None:
    """Agents of Google's ADK call tools, transfer questions and end with structured answers."""
    python = make_environment("adk", ["google-adk", "litellm"])
    run_program(python, "adk_agents.py", LITELLM_LOCAL_MODEL_COST_MAP="True", **where)


def test_dspy(make_environment: Make, run_program: Callable[..., None], where: dict[str, str]) -> None:
    """DSPy reads its sections and its JSON."""
    run_program(make_environment("dspy", ["dspy"]), "dspy_programs.py", LITELLM_LOCAL_MODEL_COST_MAP="True", **where)


def test_agno(make_environment: Make, run_program: Callable[..., None], where: dict[str, str]) -> None:
    """An agent of agno calls its tool and gives structured output."""
    run_program(make_environment("agno", ["agno", "openai"]), "agno_agents.py", AGNO_TELEMETRY="false", **where)


def test_genkit(make_node_folder: Make, run_program: Callable[..., None], where: dict[str, str]) -> None:
    """Genkit loops over a tool and gives structured output."""
    packages = make_node_folder("genkit", ["genkit", "@genkit-ai/compat-oai"])
    run_program("node", "genkit.mjs", PACKAGES=str(packages), **where)


def test_litellm(make_environment: Make, run_program: Callable[..., None], where: dict[str, str]) -> None:
    """LiteLLM's openai, vertex_ai/openai and vertex_ai partner routes work."""
    python = make_environment("litellm", ["litellm", "mcp", "google-cloud-aiplatform", "cryptography"])
    run_program(python, "litellm_routes.py", LITELLM_LOCAL_MODEL_COST_MAP="True", **where)


def test_pydantic_ai(make_environment: Make, run_program: Callable[..., None], where: dict[str, str]) -> None:
    """A pydantic-ai agent uses its tool and gives structured output."""
    run_program(make_environment("pydantic-ai", ["pydantic-ai-slim[openai]"]), "pydantic_ai_agent.py", **where)


def test_instructor(make_environment: Make, run_program: Callable[..., None], where: dict[str, str]) -> None:
    """Response models are filled by instructor, whole and streamed."""
    run_program(make_environment("instructor", ["instructor"]), "instructor_models.py", **where)


def test_ai_sdk(make_node_folder: Make, run_program: Callable[..., None], where: dict[str, str]) -> None:
    """The AI SDK generates and streams texts and objects, and loops over tools."""
    packages = make_node_folder("ai-sdk", ["ai", "@ai-sdk/openai-compatible", "zod"])
    run_program("node", "ai_sdk.mjs", PACKAGES=str(packages), **where)


def test_langchain_js(make_node_folder: Make, run_program: Callable[..., None], where: dict[str, str]) -> None:
    """LangChain.js streams, loops over a tool and gives structured output."""
    packages = make_node_folder("langchain-js", ["@langchain/core", "@langchain/openai", "zod"])
    run_program("node", "langchain.mjs", PACKAGES=str(packages), **where)

# mypy: ignore-errors
# The framework is not installed where types are checked.
"""DSPy against the emulator: its adapters for marked sections and for JSON."""

import os

import dspy

lm = dspy.LM(
    "openai/" + os.environ["MODEL"], api_base=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], cache=False
)


class Extract(dspy.Signature):
    """Extract structured information from text."""

    text: str = dspy.InputField()
    title: str = dspy.OutputField()
    words: list[str] = dspy.OutputField()


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"sunny in {city}"


for adapter in (dspy.ChatAdapter(use_json_adapter_fallback=False), dspy.JSONAdapter()):
    with dspy.context(lm=lm, adapter=adapter):
        assert dspy.Predict("question -> answer")(question="What is the capital of France?").answer
        thought = dspy.ChainOfThought("question -> answer: float")(question="What is the chance of a two with a die?")
        assert thought.reasoning
        assert isinstance(thought.answer, float), thought
        extracted = dspy.Predict(Extract)(text="Apple announced the iPhone 14 today.")
        assert isinstance(extracted.words, list), extracted
        agent = dspy.ReAct("question -> answer", tools=[get_weather], max_iters=2)
        assert agent(question="What is the weather in Oslo?").answer

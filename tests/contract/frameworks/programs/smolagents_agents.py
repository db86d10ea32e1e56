# mypy: ignore-errors
# The framework is not installed where types are checked.
"""smolagents against the emulator: an agent that must call a tool each turn, and writes calls and results as text, gives its answer."""

import os

from smolagents import CodeAgent, OpenAIServerModel, ToolCallingAgent, tool


@tool
def get_population(city: str) -> int:
    """Get the population of a city.

    Args:
        city: The city, such as Paris

    """
    assert city == "Oslo", city
    return 700000


model = OpenAIServerModel(model_id=os.environ["MODEL"], api_base=os.environ["BASE_URL"], api_key=os.environ["API_KEY"])
agent = ToolCallingAgent(tools=[get_population], model=model, max_steps=2)
result = agent.run("What is the population of Oslo?", return_full_result=True)
assert result.state == "success", result
assert "700000" in str(result.output), result

# Its code is only the answer, because the emulator writes none that calls tools.
coder = CodeAgent(tools=[get_population], model=model, max_steps=1)
result = coder.run("What is the population of Oslo?", return_full_result=True)
assert result.state == "success", result

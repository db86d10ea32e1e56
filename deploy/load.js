// An example of a load: 50 clients for 30 seconds, each request different. `docker compose --profile load run --rm load`
import { check } from "k6";
import exec from "k6/execution";
import http from "k6/http";

export const options = { vus: 50, duration: "30s", noVUConnectionReuse: true };

const url = "http://emulator:8080/v1/projects/load/locations/global/endpoints/openapi/chat/completions";
const headers = { "Content-Type": "application/json", Authorization: "Bearer any" };

export default function () {
  const messages = [{ role: "user", content: `Hello, this is request ${exec.scenario.iterationInTest}` }];
  const answer = http.post(url, JSON.stringify({ model: "google/gemini-3.5-flash", messages }), { headers });
  check(answer, { answered: (response) => response.status === 200 });
}

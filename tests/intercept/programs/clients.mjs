// Node clients as written for the real service: each asks once, and what they got is printed as JSON.
import { createRequire } from 'node:module';
import https from 'node:https';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.env.PACKAGES);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { GoogleAuth } = await load('google-auth-library');
const { default: OpenAI } = await load('openai');
const { generateText } = await load('ai');
const { createOpenAICompatible } = await load('@ai-sdk/openai-compatible');

const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });
const project = await auth.getProjectId();
const token = await auth.getAccessToken();

const baseURL = `https://us-central1-aiplatform.googleapis.com/v1/projects/${project}/locations/us-central1/endpoints/openapi`;
const model = 'google/gemini-2.5-flash';
const messages = [{ role: 'user', content: 'Why is the sky blue?' }];
const body = JSON.stringify({ model, messages });
const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };

async function withFetch() {
  const response = await fetch(`${baseURL}/chat/completions`, { method: 'POST', headers, body });
  return (await response.json()).choices[0].message.content;
}

async function withOpenAI() {
  const client = new OpenAI({ apiKey: token, baseURL });
  const completion = await client.chat.completions.create({ model, messages });
  return completion.choices[0].message.content;
}

async function withStream() {
  const client = new OpenAI({ apiKey: token, baseURL });
  let text = '';
  for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
    text += chunk.choices[0].delta.content ?? '';
  }
  return text;
}

function withHttps() {
  return new Promise((resolve, reject) => {
    const request = https.request(`${baseURL}/chat/completions`, { method: 'POST', headers }, (response) => {
      let text = '';
      response.on('data', (data) => (text += data));
      response.on('end', () => resolve(JSON.parse(text).choices[0].message.content));
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function withGoogleClient() {
  const client = await auth.getClient();
  const response = await client.request({ url: `${baseURL}/chat/completions`, method: 'POST', data: JSON.parse(body) });
  return response.data.choices[0].message.content;
}

async function withAiSdk() {
  const vertex = createOpenAICompatible({ name: 'vertex', apiKey: token, baseURL });
  return (await generateText({ model: vertex(model), prompt: messages[0].content })).text;
}

async function withDedicatedHost() {
  const url = `https://42.us-central1-7.prediction.vertexai.goog/v1/projects/${project}/locations/us-central1/endpoints/42`;
  const response = await fetch(`${url}/chat/completions`, { method: 'POST', headers, body });
  return (await response.json()).choices[0].message.content;
}

const answers = {};
for (const client of [withFetch, withOpenAI, withStream, withHttps, withGoogleClient, withAiSdk, withDedicatedHost]) {
  answers[client.name] = await client();
}
console.log(JSON.stringify({ project, answers }));

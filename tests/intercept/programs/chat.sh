# The documented command, with the shell's own variables only.
PROJECT_ID=$(gcloud config get project)
curl -s -X POST \
  -H "Authorization: Bearer $(gcloud auth print-access-token)" \
  -H "Content-Type: application/json" \
  "https://aiplatform.googleapis.com/v1/projects/${PROJECT_ID}/locations/global/endpoints/openapi/chat/completions" -d \
  $'{
    "model": "google/gemini-2.5-flash",
    "stream": true,
    "messages": [{"role": "user", "content": "Why is the sky blue?"}]
  }'

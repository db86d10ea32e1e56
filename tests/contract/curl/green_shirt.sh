curl -X POST \
  -H "Authorization: Bearer ${TOKEN}" \
  -H "Content-Type: application/json" \
  ${VERTEX}/v1/projects/${PROJECT_ID}/locations/global/endpoints/openapi/chat/completions \
  -d @- <<'BODY'
{
  "model": "google/gemini-3.1-pro-preview",
  "messages": [
    { "role": "user", "content": "Show me the green shirt I ordered last month." },
    {
      "role": "assistant",
      "tool_calls": [
        {
          "extra_content": { "google": { "thought_signature": "skip_thought_signature_validator" } },
          "function": { "arguments": "{\"item_name\":\"green shirt\"}", "name": "get_image" },
          "id": "function-call-a350228d-0283-4792-8bfa-40da064fb959",
          "type": "function"
        }
      ]
    },
    {
      "role": "tool",
      "tool_call_id": "function-call-a350228d-0283-4792-8bfa-40da064fb959",
      "content": "{\"image_ref\":{\"$ref\":\"dress.jpg\"}}",
      "extra_content": {
        "google": {
          "parts": [
            {
              "file_data": {
                "mime_type": "image/jpg",
                "display_name": "dress.jpg",
                "file_uri": "gs://cloud-samples-data/generative-ai/image/dress.jpg"
              }
            }
          ]
        }
      }
    }
  ],
  "tools": [
    {
      "type": "function",
      "function": {
        "name": "get_image",
        "description": "Finds the picture of something that was ordered",
        "parameters": {
          "type": "object",
          "properties": {
            "item_name": { "type": "string", "description": "What was ordered (say 'green shirt')" }
          },
          "required": ["item_name"]
        }
      }
    }
  ]
}
BODY

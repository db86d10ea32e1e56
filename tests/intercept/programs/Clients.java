// Java clients as written for the real service: each asks once, and what they got is printed, one answer a line.

import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;

class Clients {
  static final String URL =
      "https://us-central1-aiplatform.googleapis.com/v1/projects/"
          + System.getenv("GOOGLE_CLOUD_PROJECT")
          + "/locations/us-central1/endpoints/openapi/chat/completions";
  static final String BODY =
      "{\"model\": \"google/gemini-2.5-flash\","
          + " \"messages\": [{\"role\": \"user\", \"content\": \"Why is the sky blue?\"}]}";

  public static void main(String[] arguments) throws Exception {
    Process gcloud = new ProcessBuilder("gcloud", "auth", "print-access-token").start();
    String token = new String(gcloud.getInputStream().readAllBytes(), StandardCharsets.UTF_8).trim();

    HttpURLConnection connection = (HttpURLConnection) new java.net.URL(URL).openConnection();
    connection.setRequestMethod("POST");
    connection.setRequestProperty("Authorization", "Bearer " + token);
    connection.setRequestProperty("Content-Type", "application/json");
    connection.setDoOutput(true);
    try (OutputStream out = connection.getOutputStream()) {
      out.write(BODY.getBytes(StandardCharsets.UTF_8));
    }
    try (InputStream in = connection.getInputStream()) {
      System.out.println(new String(in.readAllBytes(), StandardCharsets.UTF_8));
    }

    HttpRequest request =
        HttpRequest.newBuilder(URI.create(URL))
            .header("Authorization", "Bearer " + token)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(BODY))
            .build();
    System.out.println(
        HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
  }
}

# docker build -t vertex-emulator .
# docker run --rm -p 127.0.0.1:8080:8080 -v "$PWD/scenarios:/scenarios:ro" vertex-emulator

FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY emulator emulator
COPY pytest_vertex_emulator pytest_vertex_emulator
COPY scenarios scenarios
# The extras let service accounts exchange their assertions for tokens, and --workers and --store keep state in Redis.
RUN python -m venv /opt/emulator \
 && /opt/emulator/bin/pip install --no-cache-dir --disable-pip-version-check '.[record,workers]'

FROM python:3.12-slim
COPY --from=build /opt/emulator /opt/emulator
ENV PATH=/opt/emulator/bin:$PATH \
    PYTHONUNBUFFERED=1
RUN useradd --system --no-create-home --shell /usr/sbin/nologin emulator \
 && mkdir /scenarios
USER emulator
# An empty volume means the built-in default scenario.
VOLUME /scenarios
WORKDIR /scenarios
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=3s --retries=3 \
  CMD ["python", "-c", "from urllib.request import *; build_opener(ProxyHandler({})).open('http://127.0.0.1:8080/__emulator__/ready', timeout=2)"]
ENTRYPOINT ["vertex-emulator"]
# The command of a laptop, but reachable from outside the container.
CMD ["serve", "--host", "0.0.0.0", "--port", "8080", "--watch", "/scenarios"]

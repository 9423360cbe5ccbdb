# Two stages: the first installs the locked versions, the second carries only what serves.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock pyproject.toml ./
# Every download is checked against its hash in the lock; then the tools of development leave.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock \
    && cp /venv/bin/uv /usr/local/bin/uv
COPY README.md LICENSE ./
COPY app app
COPY migrations migrations
RUN /venv/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
    && uv pip compile --quiet --constraint requirements.lock -o /runtime.txt pyproject.toml \
    && uv pip sync --python /venv/bin/python /runtime.txt \
    && uv pip install --python /venv/bin/python --no-deps /wheel/*.whl

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /data focus-patrol
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FOCUS_PATROL_DATABASE_URL=sqlite:////data/focus-patrol.db
USER focus-patrol
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["focus-patrol"]
CMD ["serve", "--host", "0.0.0.0"]

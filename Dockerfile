# The sandbox in a container, for tests and demonstrations (docs/sandbox.md):
#   docker build -t icure-sandbox .
#   docker run --rm -p 127.0.0.1:16044:16044 icure-sandbox
# Options of `icure sandbox` may follow: docker run … icure-sandbox --code +32470000001=123456

FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY icure_async icure_async
COPY icure_sync icure_sync
COPY pytest_icure pytest_icure
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /wheels

FROM python:3.13-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(ls /wheels/*.whl)[cli]" \
    && rm -r /wheels \
    && useradd --create-home --uid 10001 sandbox \
    && install -d -m 0700 -o sandbox /data
USER sandbox
WORKDIR /data
ENV PYTHONUNBUFFERED=1
EXPOSE 16044
# The page: no fault strikes it, and no test finds it among the requests.
HEALTHCHECK --interval=5s --timeout=4s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:16044/', timeout=3)"]
# Other containers of a network call it "sandbox"; further names are further options.
ENTRYPOINT ["icure", "sandbox", "--host", "0.0.0.0", "--port", "16044", "--allow-host", "sandbox"]

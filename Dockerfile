# One image for every Weir process; the command says which: server, worker, scheduler, db upgrade.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# pip stays in an environment of its own, and out of the image.
RUN python -m venv /opt/wheel && python -m venv --without-pip /opt/weir
# What is locked changes seldom: these layers are kept while the code changes.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN /opt/wheel/bin/pip --python /opt/weir/bin/python install --require-hashes --only-binary :all: -r requirements/runtime.txt
RUN /opt/wheel/bin/pip install --require-hashes --only-binary :all: -r requirements/build.txt
COPY migrations migrations
COPY sdk sdk
COPY server server
COPY workers workers
RUN /opt/wheel/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels ./sdk ./server ./workers \
 && /opt/wheel/bin/pip --python /opt/weir/bin/python install --no-deps --no-index /wheels/*.whl

FROM python:3.11-slim-bookworm
# Made here, so that a fresh volume mounted on it belongs to the user too.
RUN groupadd --gid 10001 weir \
 && useradd --uid 10001 --gid weir --no-create-home --home-dir /data --shell /usr/sbin/nologin weir \
 && install -d -o weir -g weir -m 0700 /data
COPY --from=build /opt/weir /opt/weir
ENV PATH=/opt/weir/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 WEIR_DATA_DIR=/data WEIR_LOG_FORMAT=json
USER weir
WORKDIR /data
EXPOSE 7443 7480
ENTRYPOINT ["weir"]
CMD ["--help"]

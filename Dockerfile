# One image for every role: the command line is the entry point, the role is its arguments.
FROM python:3.11-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --constraint constraints.txt --wheel-dir /wheels .

FROM python:3.11-slim
# Only what was built above is installed; nothing is fetched in this stage.
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels coalmine \
 && useradd --system --create-home --home-dir /srv/coalmine coalmine
WORKDIR /srv/coalmine
USER coalmine
# The models of the demo, so that `docker compose up` has something to release.
RUN python -m coalmine.demo.flights.train models stable hinges tailnum forest
ENTRYPOINT ["coalmine"]
CMD ["--help"]

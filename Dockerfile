# The app and the command line; see compose.yaml.
FROM python:3.12-slim

RUN useradd --create-home archex
WORKDIR /home/archex/project

# The long list of libraries first: a change of the project's own files does not bring them again.
COPY --chown=archex pyproject.toml constraints.txt README.md ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > needed.txt \
    && pip install --no-cache-dir -r needed.txt -c constraints.txt && rm needed.txt

COPY --chown=archex . .
RUN pip install --no-cache-dir -c constraints.txt . \
    && mkdir -p /home/archex/.local/share/archex && chown -R archex /home/archex/.local

USER archex
WORKDIR /home/archex
EXPOSE 8501
CMD ["archex", "app", "--host", "0.0.0.0", "--port", "8501"]

"""Where content is kept by name: segments of datasets and files of tasks, in a folder or in a bucket."""

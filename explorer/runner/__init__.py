"""The only place that joins search, training and store: libraries, studies, workers, jobs."""

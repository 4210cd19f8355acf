"""The encoders as transformers models: one file per operation."""

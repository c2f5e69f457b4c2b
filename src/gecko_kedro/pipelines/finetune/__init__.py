"""The finetune pipeline."""

"""The vendor's JSON, both ways: `request` in, `answer` and `refusal` out."""

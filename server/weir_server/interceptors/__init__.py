"""What happens around every call, one file each; `app.py` has the order."""

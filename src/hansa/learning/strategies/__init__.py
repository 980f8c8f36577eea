"""The strategies, one a file: each declares how sites train and how the server steps, and stands as it is in a job's specification."""

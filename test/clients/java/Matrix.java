class Matrix {}
